// Package ping is the wire of the original tiny agent, of two calls.
package ping
