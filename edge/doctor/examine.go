package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Magics of file systems (statfs(2)).
const (
	magicTmpfs   = 0x01021994
	magicRamfs   = 0x858458f6
	magicOverlay = 0x794c7630
	magicNFS     = 0x00006969
	magicCIFS    = 0xff534d42
)

const (
	// wantSocket is what quic-go asks for as a socket's buffers; it works with
	// less, and loses packets under load.
	wantSocket = 7_340_032
	// renewBefore is when a certificate that ends is worth a word.
	renewBefore = 30 * 24 * time.Hour
	// firstYear: no clock that is right is before the program.
	firstYear = 2026
)

// Examine returns what the facts say, one finding for each check, in the order
// in which they are worth reading.
func Examine(f *Facts) []Finding {
	all := []Finding{
		f.lossWindow(), f.stateFolder(), f.freeSpace(), f.clock(), f.bootClock(),
		f.identity(), f.gates(), f.sockets(), f.power(), f.memory(),
	}
	for i := range f.Nodes {
		all = append(all, f.Nodes[i].examine())
	}
	return all
}

func ok(name, format string, args ...any) Finding {
	return Finding{Name: name, Level: OK, Text: fmt.Sprintf(format, args...)}
}

func (f *Facts) lossWindow() Finding {
	seconds := f.Subject.Interval.Seconds()
	text := fmt.Sprintf("mode %s: a crash or a power cut takes at most the readings of the last %g s", f.Subject.Mode, seconds)
	if f.Subject.Mode == "always" {
		text += "; nothing is sent before it is on disk"
	} else {
		text += " that the cloud has not acked; what it acks sooner is not written"
	}
	text += "; events are on disk at once"
	if f.volatile() != "" {
		return Finding{
			"loss-window", Warn, fmt.Sprintf("a power cut takes everything that the cloud has not acked: the state folder is on %s, and the commit interval of %g s protects from a crash only", f.volatile(), seconds),
			"put state on a disk or a card",
		}
	}
	return ok("loss-window", "%s", text)
}

// volatile names the file system if it is gone with the power.
func (f *Facts) volatile() string {
	return map[uint32]string{magicTmpfs: "tmpfs", magicRamfs: "ramfs", magicOverlay: "an overlay"}[f.FileSystem]
}

func (f *Facts) stateFolder() Finding {
	const name = "state-folder"
	dir := f.Subject.State
	switch {
	case f.ReadOnly:
		return Finding{name, Fail, dir + " is on a file system that is mounted read-only", "mount it for writing, or set state to a folder that can be written"}
	case f.Unwritable != nil:
		return Finding{name, Fail, "it cannot be written: " + f.Unwritable.Error(), "run as the user that owns " + dir + ", or change its owner"}
	case f.volatile() != "":
		return Finding{name, Warn, fmt.Sprintf("%s is on %s: what waits for the cloud is gone with the power", dir, f.volatile()), "put state on a disk or a card: with an overlay root, on a partition of its own"}
	case f.FileSystem == magicNFS, f.FileSystem == magicCIFS:
		return Finding{name, Warn, dir + " is on a network file system, which does not keep what the store needs: mapped files and fsync", "put state on a local disk"}
	}
	return ok(name, "%s can be written and outlives the power", dir)
}

func (f *Facts) freeSpace() Finding {
	const name = "free-space"
	s := &f.Subject
	switch {
	case f.Free < s.Reserve:
		return Finding{
			name, Fail, fmt.Sprintf("%s are free, less than the reserve of %s: nothing is written", size(f.Free), size(s.Reserve)),
			"free some space, or lower buffer.reserve",
		}
	case f.Free+f.Used < s.Reserve+s.Limit:
		return Finding{
			name, Warn, fmt.Sprintf("%s are free and the buffer has %s, too little for its limit of %s beside the reserve of %s: an outage drops readings sooner", size(f.Free), size(f.Used), size(s.Limit), size(s.Reserve)),
			"free some space, or lower buffer.limit so that it says what is true",
		}
	}
	return ok(name, "%s are free; the buffer has %s of %s, %s stay free", size(f.Free), size(f.Used), size(s.Limit), size(s.Reserve))
}

func (f *Facts) clock() Finding {
	const name = "clock"
	switch {
	case f.Now.Year() < firstYear:
		return Finding{name, Warn, "the system's clock says " + f.Now.UTC().Format(time.DateOnly), "the gateway learns the time from the cloud; start an NTP client (timedatectl set-ntp true), or fit a real-time clock"}
	case !f.Synchronised:
		return Finding{name, Warn, "the system's clock is not synchronised: readings take the cloud's time, with its uncertainty", "start an NTP client: timedatectl set-ntp true"}
	}
	return ok(name, "the system's clock is synchronised")
}

func (f *Facts) bootClock() Finding {
	if f.BootClock != nil {
		return Finding{"boot-clock", Fail, "the boot's clock or id cannot be read: " + f.BootClock.Error(), "mount /proc, and run a kernel of 2.6.39 or later"}
	}
	return ok("boot-clock", "the boot has a clock and an id")
}

func (f *Facts) identity() Finding {
	const name = "identity"
	c, gateway := &f.Certificate, f.Subject.Gateway.String()
	issue := fmt.Sprintf("atrium-cloud issue gateway %s --out %s", gateway, f.Subject.Identity)
	switch left := c.NotAfter.Sub(f.Now); {
	case c.Err != nil:
		return Finding{name, Fail, c.Err.Error(), "on a cloud node: " + issue}
	case c.Gateway != gateway:
		return Finding{name, Fail, fmt.Sprintf("it is that of %s, the configuration is %s's", c.Gateway, gateway), "on a cloud node: " + issue}
	case left <= 0:
		return Finding{name, Fail, "the certificate ended on " + c.NotAfter.UTC().Format(time.DateOnly), "on a cloud node: " + issue}
	case left < renewBefore:
		return Finding{name, Warn, "the certificate ends on " + c.NotAfter.UTC().Format(time.DateOnly), "on a cloud node: " + issue}
	}
	return ok(name, "certificate of %s, good until %s", c.Gateway, c.NotAfter.UTC().Format(time.DateOnly))
}

func (f *Facts) gates() Finding {
	const name = "gates"
	var lost []string
	for _, gate := range f.Subject.Cloud {
		if err := f.Resolved[gate]; err != nil {
			lost = append(lost, fmt.Sprintf("%s: %v", gate, err))
		}
	}
	const hint = "look at cloud in the configuration, and at /etc/resolv.conf; readings wait on disk meanwhile"
	switch {
	case len(lost) == 0:
		return ok(name, "%s resolve; whether UDP gets there, atrium-edge status says of a gateway that runs", strings.Join(f.Subject.Cloud, ", "))
	case len(lost) < len(f.Subject.Cloud):
		return Finding{name, Warn, strings.Join(lost, "; "), hint}
	}
	return Finding{name, Fail, "no gate's name resolves: " + strings.Join(lost, "; "), hint}
}

func (f *Facts) sockets() Finding {
	const name = "socket-buffers"
	if least := min(f.RMem, f.WMem); least < wantSocket {
		return Finding{
			name, Warn, fmt.Sprintf("net.core.rmem_max is %d and wmem_max %d, QUIC wants %d: packets are lost under load", f.RMem, f.WMem, wantSocket),
			fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d, and the same in /etc/sysctl.d", wantSocket, wantSocket),
		}
	}
	return ok(name, "net.core.rmem_max is %d, wmem_max %d", f.RMem, f.WMem)
}

func (f *Facts) power() Finding {
	if f.UnderVoltage {
		return Finding{"power", Warn, "the Raspberry Pi's supply is or was too weak since the boot: cards are damaged so", "use a supply of 5.1 V and a short cable"}
	}
	return ok("power", "no under-voltage was seen")
}

func (f *Facts) memory() Finding {
	const name = "memory"
	limit := f.Subject.Memory
	switch {
	case f.MemTotal > 0 && limit > f.MemTotal/2:
		return Finding{name, Warn, fmt.Sprintf("memory-limit is %s of the machine's %s", size(limit), size(f.MemTotal)), "lower memory-limit to half of the machine's memory or less"}
	case f.MemTotal == 0:
		return ok(name, "memory-limit is %s", size(limit))
	}
	return ok(name, "memory-limit is %s of the machine's %s", size(limit), size(f.MemTotal))
}

// enabling says how a kind of bus is switched on.
var enabling = []struct{ prefix, hint string }{
	{"i2c-", "switch I2C on: dtparam=i2c_arm=on in /boot/firmware/config.txt (raspi-config nonint do_i2c 0), load i2c-dev, and start again"},
	{"spidev", "switch SPI on: dtparam=spi=on in /boot/firmware/config.txt (raspi-config nonint do_spi 0), and start again"},
	{"gpiochip", "gpiodetect names the chips that there are; the kernel needs CONFIG_GPIO_CDEV"},
}

func (n *Node) examine() Finding {
	name := "node " + n.Path
	switch {
	case n.Err == nil:
		return ok(name, "it can be opened")
	case errors.Is(n.Err, fs.ErrNotExist):
		hint := "look at buses in the configuration"
		at := slices.IndexFunc(enabling, func(e struct{ prefix, hint string }) bool {
			return strings.HasPrefix(filepath.Base(n.Path), e.prefix)
		})
		if at >= 0 {
			hint = enabling[at].hint
		}
		return Finding{name, Fail, "it is not there", hint}
	}
	return Finding{name, Fail, n.Err.Error(), fmt.Sprintf("add the gateway's user to the group %s: usermod -aG %s USER, and SupplementaryGroups= of a systemd unit", n.Group, n.Group)}
}

// size writes bytes for people.
func size(n int64) string {
	const unit = 1 << 20
	if n < 10*unit {
		return fmt.Sprintf("%.1f MiB", float64(n)/unit)
	}
	return fmt.Sprintf("%d MiB", n/unit)
}
