package inspector

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// The page: HTML, CSS and JavaScript modules, as they are served.
//
//go:embed page
var files embed.FS

var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// servePage serves the page itself, with the token in it.
func (h *Handler) servePage(w http.ResponseWriter, _ *http.Request) error {
	text, err := files.ReadFile("page/index.html")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", types[".html"])
	_, err = w.Write(bytes.Replace(text, []byte("{{token}}"), []byte(token), 1))
	return err
}

// serveFile serves a file of the page. The browser may keep it as long as it asks
// whether it has changed.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, "/")
	text, err := fs.ReadFile(files, name)
	media := types[path.Ext(name)]
	if err != nil || media == "" || path.Ext(name) == ".html" {
		return (&refusal{status: http.StatusNotFound, text: i18n.T("there is no such file")}).write(w, r)
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", media)
	_, err = w.Write(text) //nolint:gosec // it is one of the files of the page
	return err
}
