// Package troubled keeps what could not be done for single items, so that all others go on and
// these are tried again later.
package troubled
