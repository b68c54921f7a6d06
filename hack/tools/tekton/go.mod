module perennial.dev/hack/tools/tekton

go 1.24.0

require github.com/tektoncd/pipeline v1.0.0
