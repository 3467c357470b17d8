package echo

// WatchFew is Watch with another limit, in events.
func (r *Repo) WatchFew(under Ino, limit int) (*ChangeFeed, error) { return r.watch(under, limit) }
