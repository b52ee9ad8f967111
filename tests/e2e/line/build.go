package line

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/atrium-iot/atrium"

// Build puts the programs of the line into bin/e2e of the module, which the
// working directory is in, and returns that folder. What is there and up to
// date is left alone, so that only the first test of a change waits for links.
func Build(ctx context.Context) (folder string, err error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	folder = filepath.Join(strings.TrimSpace(string(root)), "bin", "e2e")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", folder+string(filepath.Separator),
		module+"/edge/cmd/atrium-edge", module+"/simulator/cmd/atrium-sim", module+"/cloud/cmd/atrium-cloud", module+"/cloud/cmd/atrium").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return folder, nil
}
