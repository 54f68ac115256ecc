// Package datadir names, locks and protects the files of a data directory.
package datadir
