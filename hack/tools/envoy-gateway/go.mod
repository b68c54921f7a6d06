module perennial.dev/hack/tools/envoy-gateway

go 1.26.0

tool github.com/envoyproxy/gateway/cmd/envoy-gateway

require github.com/envoyproxy/gateway v1.9.1
