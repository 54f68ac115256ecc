// Package archive keeps immutable objects under keys, in a directory or in an
// S3-compatible bucket. An object is there whole or not at all.
package archive
