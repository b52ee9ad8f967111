package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// mosquitto returns the broker's program and the environment that it needs: the
// machine's own, or else Debian's, downloaded and unpacked into a folder and not
// installed.
func mosquitto(ctx context.Context, cache string) (program string, env []string, err error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil, nil
		}
	}
	if cache == "" {
		return "", nil, fmt.Errorf("not installed, and no -cache to download it into")
	}
	root := filepath.Join(cache, "root")
	program = filepath.Join(root, "usr", "sbin", "mosquitto")
	if _, err := os.Stat(program); err != nil {
		if err := download(ctx, cache, root); err != nil {
			return "", nil, err
		}
	}
	var libraries []string
	for _, pattern := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", nil, err
		}
		libraries = slices.Concat(libraries, found)
	}
	return program, []string{"LD_LIBRARY_PATH=" + strings.Join(libraries, ":")}, nil
}

// download unpacks mosquitto, and the libraries that the machine lacks, into
// root. apt's lists are the machine's.
func download(ctx context.Context, cache, root string) error {
	archives := filepath.Join(cache, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return err
	}
	apt := exec.CommandContext(ctx, "apt-get", "-qq", "-y", "--download-only", "--no-install-recommends", "-o", "Dir::Cache="+cache, "-o", "Debug::NoLocking=1", "install", "mosquitto")
	if out, err := apt.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get: %w: %s", err, strings.TrimSpace(string(out)))
	}
	packages, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", p, root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
