# Two stages: the first has compilers, the second only what the binaries load at run time.
FROM debian:bookworm-slim AS build
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      ca-certificates ccache cmake g++ libboost-dev libboost-math-dev libcli11-dev libcpprest-dev \
      libcurl4-openssl-dev libhowardhinnant-date-dev libre2-dev libspdlog-dev libssl-dev libyaml-cpp-dev mold \
      ninja-build nlohmann-json3-dev prometheus-cpp-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt ./
COPY controller controller
# The compiler cache survives between builds where the builder supports cache mounts.
RUN --mount=type=cache,id=perennial-ccache,target=/root/.cache/ccache \
    cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DPERENNIAL_TESTS=OFF -DPERENNIAL_WERROR=OFF \
    && ninja -C /build perennial-controller kubectl-perennial \
    && mkdir /out && strip -o /out/perennial-controller /build/bin/perennial-controller \
    && strip -o /out/kubectl-perennial /build/bin/kubectl-perennial && rm -rf /build

FROM debian:bookworm-slim
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      libcpprest2.10 libcurl4 libdate-tz3 libprometheus-cpp-core1.0 libre2-9 \
      libspdlog1.10 libssl3 libyaml-cpp0.7 tzdata zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf /var/log/*
COPY --from=build /out/ /usr/local/bin/
# A number, so that runAsNonRoot can be verified by the kubelet. Nothing is written to disk.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/perennial-controller"]
