package guard

import "echofs/echo/doc"

// Context is what a caller knows of the document before a change.
type Context struct {
	// LastSeq is the seq of the last change of the change's actor; 0 if there is
	// none.
	LastSeq uint64

	// MaxOp returns whether a change is part of the document, and the highest
	// number of an operation in it and all it depends on; 0 where that is not
	// known.
	MaxOp func(doc.ChangeHash) (maxOp uint64, ok bool)

	// IsMap returns whether an object, named by the number of the operation that
	// made it and that operation's actor, exists, and whether it is a map (or
	// else a list or text). Nil leaves that out.
	IsMap func(number uint64, actor []byte) (isMap, ok bool)
}

// CheckContext refuses a change that does not fit what came before it: all it
// depends on is there, it is its actor's next, its operations have higher
// numbers than those it has seen, and the objects in which it works exist and
// are addressed as what they are.
func CheckContext(info *Info, known Context) error {
	if info.Seq != known.LastSeq+1 {
		return refuse(ReasonContext, "seq %d after %d", info.Seq, known.LastSeq)
	}
	if info.Seq > 1 && len(info.Deps) == 0 {
		return refuse(ReasonContext, "does not depend on its actor's change before")
	}
	for _, dep := range info.Deps {
		maxOp, ok := known.MaxOp(dep)
		if !ok {
			return refuse(ReasonContext, "depends on unknown %s", dep)
		}
		if info.StartOp <= maxOp {
			return refuse(ReasonContext, "first operation %d, but %s has %d", info.StartOp, dep, maxOp)
		}
	}
	if known.IsMap == nil {
		return nil
	}
	for object, as := range info.used {
		isMap, ok := known.IsMap(object.ctr, []byte(object.actor))
		if !ok {
			return refuse(ReasonContext, "works in an unknown object %d@%x", object.ctr, object.actor)
		}
		if isMap != (as == kindMap) {
			return refuse(ReasonContext, "addresses object %d@%x as what it is not", object.ctr, object.actor)
		}
	}
	return nil
}

// Objects calls yield for each object the change makes, so that a caller can
// answer Context.IsMap.
func (i *Info) Objects(yield func(number uint64, isMap bool) bool) {
	for object, made := range i.created {
		if !yield(object.ctr, made == kindMap) {
			return
		}
	}
}
