package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyAReleaseOfDebianHasACodename(t *testing.T) {
	if got, err := debianCodename("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"); got != "bookworm" || err != nil {
		t.Errorf("codename %q, %v", got, err)
	}
	for _, other := range []string{"", "ID=alpine\n", "ID=\"fedora\"\nVERSION_CODENAME=\"\"\n", "ID=debian\n"} {
		if got, err := debianCodename(other); err == nil {
			t.Errorf("%q has the codename %q", other, got)
		}
	}
}

func TestAnInstalledQEMUIsNotSeen(t *testing.T) {
	const status = "Package: bash\nStatus: install ok installed\n\nPackage: qemu-user-static\nVersion: 1\n\nPackage: libc6\nDescription: a\n .\n b\n"
	if got, want := withoutQEMU(status), "Package: bash\nStatus: install ok installed\n\nPackage: libc6\nDescription: a\n .\n b\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheKernelIsTheMetaPackagesDependency(t *testing.T) {
	const answer = "linux-image-arm64:arm64\n  Depends: linux-image-6.1.0-50-arm64:arm64\n"
	if got := firstDependency(answer); got != "linux-image-6.1.0-50-arm64" {
		t.Errorf("kernel %q", got)
	}
	if got := firstDependency("E: No packages found\n"); got != "" {
		t.Errorf("kernel %q of an error", got)
	}
}

func TestAKernelIsFoundWholeOrNamedAsMissing(t *testing.T) {
	const board = "broadcom/bcm2837-rpi-3-b.dtb"
	s := Set{kernel: t.TempDir()}
	for _, f := range []string{"boot/vmlinuz-6.1", "usr/lib/linux-image-6.1/" + board, "lib/modules/6.1/modules.builtin"} {
		_, _, err := s.Kernel()
		_, missing := s.Tree(board)
		err = errors.Join(err, missing)
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), s.kernel) {
			t.Errorf("before %s: %v", f, err)
		}
		file := filepath.Join(s.kernel, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	image, modules, err := s.Kernel()
	tree, missing := s.Tree(board)
	if err != nil || missing != nil || filepath.Base(image) != "vmlinuz-6.1" || filepath.Base(tree) != "bcm2837-rpi-3-b.dtb" || filepath.Base(modules) != "6.1" {
		t.Errorf("kernel %s, %s, %s, %v", image, tree, modules, errors.Join(err, missing))
	}
}
