package pebble

import "github.com/cockroachdb/pebble/v2"

// OpenUpgrading opens a database with the given upgrades in place of ours.
func OpenUpgrading(dir string, opts Options, upgrades ...func(*pebble.DB) error) (*DB, error) {
	steps := make([]upgrade, len(upgrades))
	for i, u := range upgrades {
		steps[i] = u
	}
	return open(dir, opts, steps)
}
