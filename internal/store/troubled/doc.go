// Package troubled records single items whose processing failed, so that the others go on and these are
// tried again after a pause.
package troubled
