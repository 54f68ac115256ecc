// Package server is the tracking server's HTTP side: one visible route table, ingest of
// journals and heartbeats, queries, live streams, access, and the wire of the original
// tiny agent. It decides nothing that package job can decide and stores nothing itself.
package server
