package echo

import (
	"echofs/echo/doc"
)

func (t *txn) indexConflicts(d *document, id doc.ObjectID, structure *doc.Value) error { return nil }
