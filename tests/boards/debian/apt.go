package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyring    = "/usr/share/keyrings/debian-archive-keyring.gpg"
	release    = "/etc/os-release"
	dpkgStatus = "/var/lib/dpkg/status"
)

// apt is apt-get with lists, a cache and sources of its own. Proxies and the
// like stay as the machine has them.
type apt struct {
	board    Board
	folder   string
	env      []string
	codename string
}

func newApt(ctx context.Context, folder string, board Board) (*apt, error) {
	text, err := os.ReadFile(release)
	if err != nil {
		return nil, err
	}
	codename, err := debianCodename(string(text))
	if err != nil {
		return nil, err
	}
	host, err := run(ctx, "", nil, "dpkg", "--print-architecture")
	if err != nil {
		return nil, err
	}
	mirror, err := run(ctx, "", nil, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: "+codename)
	if err != nil {
		return nil, err
	}
	mirror, _, _ = strings.Cut(strings.TrimSpace(mirror), "\n")
	if mirror == "" {
		return nil, fmt.Errorf("apt has no source of %s", codename)
	}
	status, err := os.ReadFile(dpkgStatus)
	if err != nil {
		return nil, err
	}
	a := &apt{board: board, folder: folder, env: []string{"APT_CONFIG=" + filepath.Join(folder, "apt.conf"), "LC_ALL=C"}, codename: codename}
	for name, text := range map[string]string{
		"apt.conf":             aptConf(folder, strings.TrimSpace(host), board.Arch),
		"sources.list":         sourcesList(mirror, codename, strings.TrimSpace(host), board.Arch),
		"status":               withoutQEMU(string(status)),
		"lists/partial/.keep":  "",
		"cache/archives/.keep": "",
	} {
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			return nil, err
		}
	}
	_, err = run(ctx, folder, a.env, "apt-get", "-qq", "update")
	return a, err
}

// debianCodename reads os-release(5).
func debianCodename(text string) (string, error) {
	value := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		value[k] = strings.Trim(v, `"`)
	}
	if value["ID"] != "debian" || value["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("this machine runs %q, not a release of Debian", value["ID"])
	}
	return value["VERSION_CODENAME"], nil
}

func aptConf(folder, host, guest string) string {
	return fmt.Sprintf(`APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; "%[3]s"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "%[1]s";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "%[1]s/none";
`, folder, host, guest)
}

func sourcesList(mirror, codename, host, guest string) string {
	return fmt.Sprintf(`deb [arch=%[3]s,%[4]s signed-by=%[5]s] %[1]s %[2]s main
deb [arch=%[3]s signed-by=%[5]s] %[1]s %[2]s-backports main
`, mirror, codename, host, guest, keyring)
}

// withoutQEMU leaves every QEMU out of dpkg's list of installed packages: apt
// would download the newer version of each beside the one that is asked for.
func withoutQEMU(status string) string {
	var kept strings.Builder
	for stanza := range strings.SplitSeq(status, "\n\n") {
		if !strings.HasPrefix(stanza, "Package: qemu") && strings.TrimSpace(stanza) != "" {
			kept.WriteString(strings.Trim(stanza, "\n") + "\n\n")
		}
	}
	return kept.String()
}

// emulator unpacks QEMU and the libraries that the machine has not installed.
func (a *apt) emulator(ctx context.Context, into string) error {
	if _, err := run(ctx, a.folder, a.env, "apt-get", "-qq", "-y", "--download-only", "--no-install-recommends", "-t", a.codename+"-backports", "install", a.board.Emulator); err != nil {
		return err
	}
	return unpack(ctx, filepath.Join(a.folder, "cache", "archives"), into)
}

// kernel unpacks the kernel that the release's meta-package depends on.
func (a *apt) kernel(ctx context.Context, into string) error {
	out, err := run(ctx, a.folder, a.env, "apt-cache", "depends", "--important", a.board.Kernel+":"+a.board.Arch)
	if err != nil {
		return err
	}
	name := firstDependency(out)
	if name == "" {
		return fmt.Errorf("%s depends on no kernel: %q", a.board.Kernel, out)
	}
	folder := filepath.Join(a.folder, "kernel")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if _, err := run(ctx, folder, a.env, "apt-get", "-qq", "download", name+":"+a.board.Arch); err != nil {
		return err
	}
	return unpack(ctx, folder, into)
}

// firstDependency reads apt-cache's answer: a line "  Depends: NAME:arm64".
func firstDependency(out string) string {
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			name, _, _ = strings.Cut(name, ":")
			return "linux-image-" + name
		}
	}
	return ""
}

func unpack(ctx context.Context, packages, into string) error {
	found, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("apt-get downloaded nothing into %s", packages)
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	for _, p := range found {
		if _, err := run(ctx, "", nil, "dpkg-deb", "--extract", p, into); err != nil {
			return err
		}
	}
	return nil
}
