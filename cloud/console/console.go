// Package console is the cloud node's live page: rooms, devices, their age and
// the chart of the last hour, in a browser. It serves embedded files as they
// are, without a build step; the page itself asks the API (cloud/api), by
// server-sent events and for history. Nothing here knows a site.
//
// assets/uplot.js and uplot.css are uPlot 1.6.32 by Leon Sorokin (MIT, see
// uplot.LICENSE), unchanged.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// policy lets the page load and reach nothing but this node. uPlot draws on a
// canvas and sets sizes by script, which needs no exception.
const policy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is an asset, ready to be sent.
type file struct {
	plain, packed []byte
	etag          string // weak: of both
	media         string
}

// Register adds the page to mux: / and a path for each asset.
func Register(mux *http.ServeMux) error {
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	for _, e := range entries {
		f, err := load(e.Name())
		if err != nil {
			return fmt.Errorf("console: %s: %w", e.Name(), err)
		}
		mux.Handle("GET /"+e.Name(), f)
		if e.Name() == "index.html" {
			mux.Handle("GET /{$}", f)
		}
	}
	return nil
}

func load(name string) (*file, error) {
	b, err := assets.ReadFile(path.Join("assets", name))
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	media := mime.TypeByExtension(path.Ext(name))
	if media == "" {
		media = "text/plain; charset=utf-8"
	}
	return &file{plain: b, packed: packed.Bytes(), etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, media: media}, nil
}

// ServeHTTP sends the file, packed to those who take that, and nothing to those
// who have it.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // ask each time: an upgrade is seen at once
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.packed
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
