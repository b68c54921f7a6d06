#!/usr/bin/env python3
"""Checks that #include lines in controller/ follow the layers, and that libraries stay in their place.

A layer may include itself and what stands behind it here; controllers never include each other.
"""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "stats": {"base"},
    "scrape": {"base", "stats"},
    "kube": {"base"},
    "api": {"base", "kube"},
    "source": {"base", "kube", "api", "stats", "scrape"},
    "deployment": {"base", "kube", "api", "stats", "scrape", "source"},
    "drift": {"base", "kube", "api", "stats", "scrape", "source"},
    "retrain": {"base", "kube", "api", "stats", "scrape", "source"},
    "app": {"base", "kube", "api", "stats", "scrape", "source", "deployment", "drift",
            "retrain"},
}

# What only the named files may use: (pattern, files, why).
RESTRICTED = [
    (r'#include [<"]cpprest/', {"kube/http_transport.cc"}, "cpprestsdk stays behind one transport"),
    (r'#include [<"]curl/', {"scrape/http_exchange.h", "scrape/http_fetch.cc"},
     "libcurl stays behind one fetcher"),
    (r"system_clock::now|steady_clock::now", {"base/clock.cc"}, "time is injected (base/clock.h)"),
    (r"std::random_device", set(), "randomness is seeded"),
]
DECIDE = re.compile(r"(^|/)(decide|rollout|analysis|experiment|selection|weights|render|trigger|run|gates|reading|approval|serving|history|evaluation|status)\.(h|cc)$")
IMPURE = re.compile(r"spdlog|SystemClock\(|std::getenv|kube/client\.h|kube/transport\.h")


def check(root: pathlib.Path) -> list[str]:
    problems = []
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        name = path.relative_to(root).as_posix()
        layer = name.split("/")[0]
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            code = line.split("//")[0]
            where = f"controller/{name}:{number}"
            include = re.match(r'#include "([a-z]+)/', code)
            if include and include[1] in ALLOWED and include[1] != layer:
                if include[1] not in ALLOWED.get(layer, set()):
                    problems.append(f"{where}: {layer} must not include {include[1]}")
            if name.endswith(".h") and '#include <nlohmann/json.hpp>' in code and name != "base/codec.h":
                problems.append(f"{where}: headers use nlohmann/json_fwd.hpp")
            for pattern, files, why in RESTRICTED:
                if re.search(pattern, code) and name not in files:
                    problems.append(f"{where}: {why}")
            if layer in ("deployment", "drift", "retrain") and DECIDE.search(name) and IMPURE.search(code):
                problems.append(f"{where}: decisions are pure; this belongs into observe or app")
        lines = text.count("\n")
        if lines > 500:
            problems.append(f"controller/{name}: {lines} lines; split what has more than one job")
    return problems


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "controller"
    problems = check(root)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
