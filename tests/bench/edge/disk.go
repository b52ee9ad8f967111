package main

import (
	"os"
	"syscall"
)

// onDisk is what a file takes: Badger's logs are longer than what is in them.
func onDisk(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
