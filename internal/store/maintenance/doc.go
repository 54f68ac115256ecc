// Package maintenance deletes, trims, packs and sweeps what is stored.
package maintenance
