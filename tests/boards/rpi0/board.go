package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/tests/boards/plan"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/boards/stand"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const (
	tree = "bcm2835-rpi-zero.dtb"

	gateAddress = "127.0.0.1:7443"
	httpAddress = "127.0.0.1:7481"
	socket      = "/tmp/board.sock"
	profiles    = "/etc/atrium/profiles"
	caFolder    = "/etc/atrium/ca"

	devices = 20

	// shift makes the board's time that of its instructions, 2^shift ns each.
	shift = 1
)

// gateway has sensors of five points, of which every sample is sent: nothing is
// within a deadband of 0.
var gateway = line.Gateway{Site: "hq", Mode: "spill", Sensors: devices, Climate: true, Keys: "profiles: " + profiles}

// place is where the agent has its things on the board.
var place = line.Place{State: plan.State, Identity: "/etc/atrium/identity", Board: socket, Cloud: []string{gateAddress}, HTTP: httpAddress}

// prepare writes the file system that the kernel starts with.
func prepare(s *stand.Stand) error {
	const edgeConfig, boardConfig = "/etc/atrium/edge.yaml", "/etc/atrium/board.yaml"
	wide, err := line.WideProfile()
	if err != nil {
		return err
	}
	files := map[string]string{
		edgeConfig: gateway.EdgeYAML(place), boardConfig: gateway.BoardYAML(),
		profiles + "/wide.yaml": string(wide),
	}
	if err := issue(files, filepath.Join(s.Dir, "ca")); err != nil {
		return err
	}
	return s.WriteInitrd(stand.Contents{
		Files: files, Programs: []string{"atrium-edge", "atrium-sim", "counterpart"},
		Plan: plan.Plan{
			Alone: true, Clock: time.Now(), // certificates are not valid in 1970
			Programs: []plan.Program{
				{Args: []string{"/bin/atrium-sim", "board", "--socket", socket, "--config", boardConfig}, Ready: socket},
				{Args: []string{"/bin/counterpart", "-ca", caFolder, "-listen", gateAddress, "-agent", httpAddress}},
				{Args: []string{"/bin/atrium-edge", "run", "--config", edgeConfig}},
			},
		},
	})
}

// issue makes a cluster's CA in a folder here, and adds it and the gateway's
// identity to the files of the board.
func issue(files map[string]string, folder string) error {
	ca, err := identity.OpenCA(folder)
	if err != nil {
		return err
	}
	name, err := id.ParseGateway(gateway.Name())
	if err != nil {
		return err
	}
	issued, err := ca.Gateway(name)
	if err != nil {
		return err
	}
	store, err := os.ReadFile(filepath.Join(folder, identity.StoreFile))
	if err != nil {
		return err
	}
	files[path.Join(caFolder, identity.StoreFile)] = string(store)
	for name, pem := range map[string][]byte{sharedid.CertFile: issued.Cert, sharedid.KeyFile: issued.Key, sharedid.CAFile: issued.CA} {
		files[path.Join(place.Identity, name)] = string(pem)
	}
	return nil
}

// switchOn starts the board.
func switchOn(ctx context.Context, s *stand.Stand) (*qemu.Machine, error) {
	command, env, err := s.Boot("qemu-system-arm", tree)
	if err != nil {
		return nil, err
	}
	// By the host's time the board would sleep at the first timer that the host's
	// other work delays: Linux writes counter + delay into the SoC's timer, which
	// fires when the counter is just that, and so 71 minutes later if that is over
	// (BCM2835 ARM Peripherals, chapter 12). While the board is idle its time flies.
	clock := fmt.Sprintf("shift=%d,sleep=off", shift)
	return qemu.Start(ctx, qemu.Config{
		Command: slices.Concat(command, []string{
			"-M", "raspi0", "-icount", clock,
			// A panic restarts the board, which ends QEMU.
			"-append", "console=ttyAMA0,115200 loglevel=4 rdinit=/init panic=-1 " +
				"initcall_blacklist=bcm2835_power_driver_init", // it reads registers that QEMU's board has not
		}),
		Env: env, Dir: s.Dir,
	})
}
