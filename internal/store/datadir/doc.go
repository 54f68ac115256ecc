// Package datadir knows the files of a data directory by name, and who may use them.
package datadir
