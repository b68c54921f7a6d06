module perennial.dev/hack/tools/argo-workflows

go 1.24.0

require github.com/argoproj/argo-workflows/v4 v4.0.5
