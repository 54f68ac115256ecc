// Package recovery backs up, checks, repairs and rebuilds a store.
package recovery
