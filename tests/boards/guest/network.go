package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/tests/boards/plan"
)

// network brings up the loopback and, on a board that is not alone, the first
// USB or Ethernet interface with the address of a plan. The host is on the same
// link, so that no route is needed.
func network(alone bool) error {
	err := up("lo", [4]byte{127, 0, 0, 1}, [4]byte{255, 0, 0, 0})
	if err != nil || alone {
		return err
	}
	device, err := waitFor("/sys/class/net/[eu]*") // eth0 or usb0
	if err != nil {
		return err
	}
	return up(filepath.Base(device), netip.MustParseAddr(plan.Address).As4(), [4]byte{255, 255, 255, 0})
}

// up gives an interface its address and starts it (netdevice(7)).
func up(name string, address, mask [4]byte) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	err = errors.Join(
		setAddress(socket, name, unix.SIOCSIFADDR, address),
		setAddress(socket, name, unix.SIOCSIFNETMASK, mask),
		bringUp(socket, name),
		unix.Close(socket),
	)
	if err != nil {
		return fmt.Errorf("network: %s: %w", name, err)
	}
	return nil
}

func setAddress(socket int, name string, request uint, address [4]byte) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := r.SetInet4Addr(address[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(socket, request, r)
}

func bringUp(socket int, name string) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, r)
}
