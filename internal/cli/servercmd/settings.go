package servercmd

import (
	"strings"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// settingsOf describes the options of the store. archive is its place as given.
func settingsOf(o store.Options, archive string) server.Settings {
	out := server.Settings{Database: "sqlite", Durability: "full", Archive: map[string]string{}}
	if o.URL != "" {
		out.Database = "postgres"
	}
	if o.Relaxed {
		out.Durability = "relaxed"
	}
	out.ArchiveKind = archiveKind(o, archive)
	switch out.ArchiveKind {
	case "database":
		out.Archive["place"] = "the database"
	case "data_directory":
		out.Archive["place"] = "the data directory"
	default:
		out.Archive["place"] = archive
	}
	out.Keep = server.Keep{
		AgeSeconds: int64(o.Keep.Age / time.Second), RunsOfJob: o.Keep.Runs, TotalBytes: o.Keep.Bytes, RunLogBytes: o.Keep.RunLog,
	}
	return out
}

// archiveKind names where finished logs are kept.
func archiveKind(o store.Options, place string) string {
	switch {
	case o.Archive == nil:
		return "database"
	case place == "":
		return "data_directory"
	case strings.Contains(place, "://"):
		return "bucket"
	}
	return "directory"
}
