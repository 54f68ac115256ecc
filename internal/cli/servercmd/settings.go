package servercmd

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
)

// settingsOf describes the options of the store. archive is its place as given.
func settingsOf(o store.Options, archive string) server.Settings {
	out := server.Settings{Database: "sqlite", Durability: "full", Archive: map[string]string{}, Retention: map[string]string{}}
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
	if k := o.Keep; k.Age > 0 {
		out.Retention["age"] = fmt.Sprintf("%g days", float64(k.Age)/float64(24*time.Hour))
	}
	if o.Keep.Runs > 0 {
		out.Retention["runs of each job"] = fmt.Sprint(o.Keep.Runs)
	}
	if o.Keep.Bytes > 0 {
		out.Retention["all journals"] = job.Bytes(o.Keep.Bytes)
	}
	if o.Keep.RunLog > 0 {
		out.Retention["log of a run"] = job.Bytes(o.Keep.RunLog)
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
