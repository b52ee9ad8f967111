package stand

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/tests/boards/initramfs"
	"github.com/atrium-iot/atrium/tests/boards/plan"
)

// Contents is what a board starts with, beside the guest.
type Contents struct {
	Modules  []string // kernel modules, and with each what it needs
	Programs []string // of the stand's folder, at /bin
	Files    map[string]string
	Plan     plan.Plan
}

// initrd is the file that WriteInitrd writes.
func (s *Stand) initrd() string { return filepath.Join(s.Dir, "initrd") }

// Boot is the command with which an emulator boots Debian's kernel into the file
// system of WriteInitrd, and the environment that it needs. tree is the device
// tree of a board that has one.
func (s *Stand) Boot(emulator, tree string) (command, env []string, err error) {
	if command, env, err = s.Packages.Emulator(emulator); err != nil {
		return nil, nil, err
	}
	image, _, err := s.Packages.Kernel()
	if err != nil {
		return nil, nil, err
	}
	command = append(command, "-kernel", image, "-initrd", s.initrd())
	if tree == "" {
		return command, env, nil
	}
	dtb, err := s.Packages.Tree(tree)
	return append(command, "-dtb", dtb), env, err
}

// WriteInitrd writes the file system that the kernel starts with.
func (s *Stand) WriteInitrd(c Contents) (err error) {
	_, folder, err := s.Packages.Kernel()
	if err != nil {
		return err
	}
	drivers, err := initramfs.Modules(folder, c.Modules...)
	if err != nil {
		return err
	}
	orders, err := json.Marshal(c.Plan)
	if err != nil {
		return err
	}
	out, err := os.Create(s.initrd())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	a := initramfs.NewArchive(out)
	a.Device("dev/console", 5, 1) // Documentation/admin-guide/devices.txt
	var order strings.Builder
	for _, m := range drivers {
		file := "lib/modules/" + m.Name + ".ko"
		a.File(file, m.Data)
		order.WriteString("/" + file + "\n")
	}
	a.File("lib/modules/order", []byte(order.String()))
	a.File(strings.TrimPrefix(plan.Path, "/"), orders)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		a.File(strings.TrimPrefix(name, "/"), []byte(c.Files[name]))
	}
	return errors.Join(s.addPrograms(a, c.Programs), a.Close())
}

func (s *Stand) addPrograms(a *initramfs.Archive, names []string) error {
	at := map[string]string{"guest": "init"}
	for _, name := range names {
		at[name] = path.Join("bin", name)
	}
	for name, to := range at {
		data, err := os.ReadFile(filepath.Join(s.Programs, name))
		if err != nil {
			return err
		}
		a.Program(to, data)
	}
	return nil
}

// Issue adds a new identity of a gateway, SITE/NAME, to the files of a board, in
// a folder there.
func (s *Stand) Issue(ctx context.Context, gateway string, files map[string]string, folder string) error {
	issued, err := os.MkdirTemp(s.Dir, "identity-")
	if err != nil {
		return err
	}
	if err := s.Line.Issue(ctx, gateway, issued); err != nil {
		return err
	}
	for _, name := range []string{"gateway.crt", "gateway.key", "ca.crt"} {
		data, err := os.ReadFile(filepath.Join(issued, name))
		if err != nil {
			return err
		}
		files[path.Join(folder, name)] = string(data)
	}
	return nil
}

// Gate is the cloud's address, seen from the board.
func (s *Stand) Gate() (string, error) {
	_, port, err := net.SplitHostPort(s.Line.Gate)
	return net.JoinHostPort(plan.Host, port), err
}
