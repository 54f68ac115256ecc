// Package maintenance deletes runs by retention, trims and packs journals, and deletes unused files.
package maintenance
