// Package recovery copies, checks, repairs and rebuilds a store.
package recovery
