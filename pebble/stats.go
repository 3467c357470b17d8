package pebble

import "fmt"

// Stats says how the database is.
type Stats struct {
	Format           int    // version of the format
	DiskBytes        uint64 // all files of the database
	LogBytes         uint64 // of these, logs
	TableBytes       uint64 // of these, tables
	Tables           int
	MemoryBytes      uint64 // memtables and cache
	Debt             uint64 // estimate of bytes to be merged
	FreeBytes        int64  // on the disk; -1 where unknown
	BackgroundErrors int    // failures of work that nobody waited for, since Open
	LastError        string // the last of these
}

// Stats returns how the database is. It takes some microseconds.
func (db *DB) Stats() (Stats, error) {
	if err := db.alive(); err != nil {
		return Stats{}, fmt.Errorf("look at database %s: %w", db.dir, err)
	}
	m := db.inner.Metrics()
	total := m.Total()
	s := Stats{
		Format:      Format,
		DiskBytes:   m.DiskSpaceUsage(),
		LogBytes:    m.WAL.PhysicalSize + m.WAL.ObsoletePhysicalSize,
		TableBytes:  uint64(total.TablesSize),
		Tables:      int(total.TablesCount),
		MemoryBytes: m.MemTable.Size + m.MemTable.ZombieSize + uint64(m.BlockCache.Size),
		Debt:        m.Compact.EstimatedDebt,
		FreeBytes:   db.space.free(),
	}
	var last error
	if s.BackgroundErrors, last = db.background.get(); last != nil {
		s.LastError = last.Error()
	}
	return s, nil
}
