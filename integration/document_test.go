package integration_test

import (
	"time"
)

// status is what `status --json` prints.
type status struct {
	Identity struct{ DID, Name string }
	Device   struct{ ID, Name string }
	Mounts   []string
	Spaces   []spaceStatus
	Warnings []struct{ Code, Message, Fix string }
}

type spaceStatus struct {
	ID, Name, Role, State      string
	Objects, Drafts, Conflicts int
	Quarantined, Peers         int
	Behind                     []struct {
		Device, Name string
		Entries      int
		LastSeen     *time.Time `json:"last_seen"`
	}
}

// status returns what is said of the space.
func (v *vault) status() spaceStatus {
	v.tb.Helper()
	var st status
	v.json(&st, "status")
	for _, s := range st.Spaces {
		if s.Name == v.space {
			return s
		}
	}
	v.tb.Fatalf("status of %s: no space %q in %+v", v.name, v.space, st)
	return spaceStatus{}
}

// stat is what `stat --json` prints.
type stat struct {
	ID, Kind, Type, Space, URI, Author, Base, Error, Path string
	Heads                                                 []string
	Replicas                                              int
	Size                                                  int64
}

func (v *vault) stat(file string) (st stat) {
	v.tb.Helper()
	v.json(&st, "stat", v.path(file))
	return st
}

// revision is a line of `log --json`.
type revision struct {
	Rev                           int
	Hash, Author, Device, Summary string
	Time                          time.Time
	Fields                        []string
}

func (v *vault) log(file string) (revs []revision) {
	v.tb.Helper()
	v.json(&revs, "log", v.path(file))
	return revs
}
