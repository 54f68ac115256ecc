// Package conns counts the open connections of clients (Places) and tracks which of them agents use
// (Agents): when the connection of an attempt's heartbeats closes, its agent may have died.
package conns
