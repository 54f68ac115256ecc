package servercmd

import (
	"fmt"
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
	switch {
	case o.Archive == nil:
		out.Archive["place"] = "the database"
	case archive == "":
		out.Archive["place"] = "the data directory"
	default:
		out.Archive["place"] = archive
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
