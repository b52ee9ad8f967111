package line

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is also where the programs' packages are, whatever the working
// directory within it.
const module = "github.com/atrium-iot/atrium"

// Build puts the programs of the line into a folder. The build cache makes a
// second time cheap.
func Build(ctx context.Context, folder string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", folder+string(filepath.Separator),
		module+"/edge/cmd/atrium-edge", module+"/simulator/cmd/atrium-sim", module+"/cloud/cmd/atrium-cloud", module+"/cloud/cmd/atrium").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// FreePorts returns n addresses on loopback that nobody listens on, of "tcp" or
// "udp". They may be taken before they are used; a program that finds one so
// says so.
func FreePorts(network string, n int) ([]string, error) {
	ports := make([]string, 0, n)
	for range n {
		p, err := freePort(network)
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}
