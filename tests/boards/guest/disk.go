package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the file system of the agents' state, on a device that can be made to
// drop what is written.
type disk struct {
	device *mapped
	folder string
}

// long is more seconds than a board lives.
const long = 1 << 20

// dropped is written once nothing is kept any more: who finds it after a power
// cut has had none.
const dropped = "written-after-the-cut"

// mountDisk mounts an ext4 through the device mapper. The file system's own
// timer commits seldom, so that what an agent did not fsync is lost at a power
// cut and not saved by luck.
func mountDisk(under, folder string) (*disk, error) {
	if _, err := waitFor(under); err != nil {
		return nil, err
	}
	device, err := newMapped("state", under)
	if err != nil {
		return nil, err
	}
	d := &disk{device: device, folder: folder}
	if err := device.flakey(long, 0); err != nil {
		return nil, err
	}
	node, err := waitFor(device.node())
	if err != nil {
		return nil, err
	}
	if err := mount(node, "ext4", folder, "commit=300"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, dropped)); err == nil {
		return nil, fmt.Errorf("%s is there: the disk kept what was written after the cut", dropped)
	}
	return d, nil
}

// drop makes the disk lose all that it is given from now on, and then gives it
// all that the kernel still holds, and a file more.
func (d *disk) drop() error {
	if err := d.device.flakey(0, long); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(d.folder, dropped))
	if err != nil {
		return err
	}
	_, err = f.WriteString("lost\n")
	err = errors.Join(err, f.Sync(), f.Close())
	unix.Sync()
	return err
}
