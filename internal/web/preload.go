package web

import (
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"path"
	"strings"
)

// sources are the source files of the kinds of pages whose code is loaded on demand.
var sources = map[string]string{
	"run":      "src/pages/Run.svelte",
	"job":      "src/pages/Job.svelte",
	"queue":    "src/pages/Queue.svelte",
	"workers":  "src/pages/Workers.svelte",
	"worker":   "src/pages/Worker.svelte",
	"compare":  "src/pages/Compare.svelte",
	"settings": "src/pages/Settings.svelte",
}

// kindOf returns the kind of the page at a path, a key of sources; "" for other pages.
func kindOf(urlPath string) string {
	clean := path.Clean("/" + urlPath)
	switch {
	case clean == "/queue", clean == "/workers", clean == "/compare", clean == "/settings":
		return clean[1:]
	case strings.HasPrefix(clean, "/runs/"):
		return "run"
	case strings.HasPrefix(clean, "/jobs/"):
		return "job"
	case strings.HasPrefix(clean, "/workers/"):
		return "worker"
	}
	return ""
}

// preloads returns the links that load the code of a page together with the code that would
// otherwise request it later. Without the build's manifest there are none, and the page opens later.
func preloads(files fs.FS) map[string][]byte {
	data, err := fs.ReadFile(files, ".vite/manifest.json")
	if err != nil {
		return nil
	}
	var chunks map[string]struct {
		File    string   `json:"file"`
		IsEntry bool     `json:"isEntry"`
		Imports []string `json:"imports"`
	}
	if err := json.Unmarshal(data, &chunks); err != nil {
		return nil
	}
	out := map[string][]byte{}
	for kind, source := range sources {
		chunk, ok := chunks[source]
		if !ok {
			continue
		}
		names := []string{chunk.File}
		for _, name := range chunk.Imports {
			if of := chunks[name]; !of.IsEntry && of.File != "" {
				names = append(names, of.File)
			}
		}
		var links strings.Builder
		for _, name := range names {
			fmt.Fprintf(&links, `<link rel="modulepreload" crossorigin href="./%s">`, html.EscapeString(name))
		}
		links.WriteString("</head>")
		out[kind] = []byte(links.String())
	}
	return out
}
