// Package health keeps what runs are judged by, and what was found.
package health
