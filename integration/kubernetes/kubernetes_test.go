// Package kubernetes_test runs the checks of this folder: the manifests and the
// image (in a Go module of their own, check), and the life of a pod.
package kubernetes_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The manifests against the API server's own rules, and the image's binary in a
// container's place. Kubernetes' own code is in a module of its own, which the go
// command does not enter by itself.
func TestManifestsAndImage(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the API server's validation and the image's binary, which takes minutes the first time")
	}
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
		defer cancel()
	}
	// -count=1: the go command does not see a change of the manifests, which are
	// outside of that module, and would repeat an old answer.
	check := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=0", "./...")
	check.Dir = "check"
	check.Env = append(os.Environ(), "GOWORK=off")
	output, err := check.CombinedOutput()
	if ctx.Err() != nil {
		require.FailNow(t, "not in time", "the first run compiles for minutes: give `go test` a longer -timeout, or run it in integration/kubernetes/check once\n%s", output)
	}
	require.NoError(t, err, "%s", output)
}
