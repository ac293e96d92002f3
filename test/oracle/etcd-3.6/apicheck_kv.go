package main

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fillForRange leaves ten keys in which the orders by key, value, version, creation and change all differ.
func fillForRange(c *apiCheck) error {
	return c.puts("r/05", "delta", "r/01", "golf", "r/09", "alpha", "r/03", "hotel", "r/07", "bravo",
		"r/02", "echo", "r/08", "charlie", "r/04", "alpha", "r/06", "india", "r/10", "foxtrot",
		"r/07", "bravo again", "r/01", "golf again", "r/07", "bravo at last", "r/03", "", "r/05", "delta",
		"q", "before", "s", "after", "r/\xff\x00", "not text", "r/", "only the prefix")
}

func checkRange(c *apiCheck) error {
	c.everything("nothing yet")
	if err := fillForRange(c); err != nil {
		return err
	}
	all := func() *pb.RangeRequest { return &pb.RangeRequest{Key: []byte("r/"), RangeEnd: []byte("r0")} }
	c.rangeStep("one key", &pb.RangeRequest{Key: []byte("r/01")})
	c.rangeStep("one key, serializable", &pb.RangeRequest{Key: []byte("r/01"), Serializable: true})
	c.rangeStep("a key that is not there", &pb.RangeRequest{Key: []byte("r/00")})
	c.rangeStep("a prefix", all())
	c.rangeStep("from a key on", &pb.RangeRequest{Key: []byte("r/08"), RangeEnd: []byte{0}})
	c.everything("every key")
	c.rangeStep("an end before the key", &pb.RangeRequest{Key: []byte("r/08"), RangeEnd: []byte("r/02")})
	c.rangeStep("an end that is the key", &pb.RangeRequest{Key: []byte("r/08"), RangeEnd: []byte("r/08")})
	c.rangeStep("from a byte 255 on", &pb.RangeRequest{Key: []byte("r/\xff"), RangeEnd: []byte("s")})
	for target := range int32(len(pb.RangeRequest_SortTarget_name)) {
		for order := range int32(len(pb.RangeRequest_SortOrder_name)) {
			for _, limit := range []int64{0, 4} {
				request := all()
				request.SortTarget, request.SortOrder = pb.RangeRequest_SortTarget(target), pb.RangeRequest_SortOrder(order)
				request.Limit = limit
				c.rangeStep(fmt.Sprintf("sorted by %v, %v, limit %d", request.SortTarget, request.SortOrder, limit), request)
			}
		}
	}
	for _, limit := range []int64{-1, 1, 11, 12, 13, 1 << 40} {
		request := all()
		request.Limit = limit
		c.rangeStep(fmt.Sprintf("limit %d", limit), request)
	}
	for _, revision := range []int64{-1, 1, 2, 7, 11, 12, 15, 20} {
		request := all()
		request.Revision = revision
		c.rangeStep(fmt.Sprintf("at revision %d", revision), request)
	}
	for _, revision := range []int64{21, 1 << 60} {
		request := all()
		request.Revision = revision
		c.rangeStep(fmt.Sprintf("at revision %d, which is to come", revision), request)
	}
	checkRangeFilters(c, all)
	checkRangeShapes(c, all)
	return nil
}

func checkRangeFilters(c *apiCheck, all func() *pb.RangeRequest) {
	bounds := []struct{ minMod, maxMod, minCreate, maxCreate, limit int64 }{
		{minMod: 12}, {maxMod: 8}, {minMod: 5, maxMod: 13}, {minCreate: 5}, {maxCreate: 5}, {minCreate: 3, maxCreate: 6},
		{minMod: 10, maxCreate: 6}, {minMod: 100}, {minMod: 3, limit: 2}, {maxCreate: 8, limit: 3}, {minMod: -5}, {maxMod: -5},
	}
	for _, bound := range bounds {
		request := all()
		request.MinModRevision, request.MaxModRevision = bound.minMod, bound.maxMod
		request.MinCreateRevision, request.MaxCreateRevision = bound.minCreate, bound.maxCreate
		request.Limit = bound.limit
		c.rangeStep(fmt.Sprintf("mod %d to %d, create %d to %d, limit %d", bound.minMod, bound.maxMod, bound.minCreate, bound.maxCreate, bound.limit), request)
	}
}

func checkRangeShapes(c *apiCheck, all func() *pb.RangeRequest) {
	for _, revision := range []int64{0, 6} {
		for _, limit := range []int64{0, 3} {
			keys, counts, both := all(), all(), all()
			keys.KeysOnly, counts.CountOnly, both.KeysOnly, both.CountOnly = true, true, true, true
			for name, request := range map[string]*pb.RangeRequest{"keys only": keys} {
				request.Revision, request.Limit = revision, limit
				c.rangeStep(fmt.Sprintf("%s at %d, limit %d", name, revision, limit), request)
			}
			counts.Revision, counts.Limit, both.Revision, both.Limit = revision, limit, revision, limit
			c.rangeStep(fmt.Sprintf("count only at %d, limit %d", revision, limit), counts)
			c.rangeStep(fmt.Sprintf("count and keys only at %d, limit %d", revision, limit), both)
		}
	}
	sorted := all()
	sorted.KeysOnly, sorted.SortTarget, sorted.SortOrder, sorted.Limit = true, pb.RangeRequest_VALUE, pb.RangeRequest_DESCEND, 5
	c.rangeStep("keys only, sorted by value", sorted)
	filtered := all()
	filtered.CountOnly, filtered.MinModRevision = true, 12
	c.rangeStep("count only with a bound", filtered)
	c.rangeStep("count of one key", &pb.RangeRequest{Key: []byte("r/01"), CountOnly: true})
	c.rangeStep("no key", &pb.RangeRequest{})
	c.rangeStep("no key but an end", &pb.RangeRequest{RangeEnd: []byte("z")})
	order, target := all(), all()
	order.SortOrder, target.SortTarget = 7, 9
	c.rangeStep("an order that does not exist", order)
	c.rangeStep("a target that does not exist", target)
}

func checkPut(c *apiCheck) error {
	if _, err := pb.NewLeaseClient(c.conn).LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: 77, TTL: 1000}); err != nil {
		return err
	}
	key, value := []byte("key"), []byte("value")
	steps := []struct {
		name    string
		request *pb.PutRequest
	}{
		{"no key", &pb.PutRequest{Value: value}},
		{"new", &pb.PutRequest{Key: key, Value: value}},
		{"again", &pb.PutRequest{Key: key, Value: []byte("other")}},
		{"with what was before", &pb.PutRequest{Key: key, Value: value, PrevKv: true}},
		{"a new key with what was before", &pb.PutRequest{Key: []byte("key2"), Value: value, PrevKv: true}},
		{"nothing in it", &pb.PutRequest{Key: key}},
		{"bytes that are no text", &pb.PutRequest{Key: []byte{0, 255, 1}, Value: []byte{255, 0, 254}}},
		{"a key of one zero byte", &pb.PutRequest{Key: []byte{0}, Value: value}},
		{"with a lease", &pb.PutRequest{Key: key, Value: value, Lease: 77, PrevKv: true}},
		{"keeps the lease", &pb.PutRequest{Key: key, Value: []byte("kept"), IgnoreLease: true, PrevKv: true}},
		{"keeps the value", &pb.PutRequest{Key: key, IgnoreValue: true, PrevKv: true}},
		{"keeps both", &pb.PutRequest{Key: key, IgnoreValue: true, IgnoreLease: true, PrevKv: true}},
		{"a lease and keeps the value", &pb.PutRequest{Key: key, IgnoreValue: true, Lease: 77}},
		{"takes the lease away", &pb.PutRequest{Key: key, Value: value, PrevKv: true}},
		{"a lease that is not there", &pb.PutRequest{Key: key, Value: value, Lease: 78}},
		{"a negative lease", &pb.PutRequest{Key: key, Value: value, Lease: -1}},
		{"keeps the value of nothing", &pb.PutRequest{Key: []byte("absent"), IgnoreValue: true}},
		{"keeps the lease of nothing", &pb.PutRequest{Key: []byte("absent"), Value: value, IgnoreLease: true}},
		{"a value, and keeps the value", &pb.PutRequest{Key: key, Value: value, IgnoreValue: true}},
		{"a lease, and keeps the lease", &pb.PutRequest{Key: key, Value: value, Lease: 77, IgnoreLease: true}},
	}
	for _, step := range steps {
		c.putStep(step.name, step.request)
		c.rangeStep(step.name+": the key then", &pb.RangeRequest{Key: key})
	}
	c.everything("what all that left")
	return nil
}

func checkDelete(c *apiCheck) error {
	fill := func() error {
		return c.puts("d/1", "one", "d/2", "two", "d/3", "three", "d/4", "four", "d/5", "five", "e", "after", "a", "before")
	}
	if err := fill(); err != nil {
		return err
	}
	steps := []struct {
		name    string
		request *pb.DeleteRangeRequest
	}{
		{"no key", &pb.DeleteRangeRequest{}},
		{"no key but an end", &pb.DeleteRangeRequest{RangeEnd: []byte("z")}},
		{"one key", &pb.DeleteRangeRequest{Key: []byte("d/1")}},
		{"the same again", &pb.DeleteRangeRequest{Key: []byte("d/1")}},
		{"one that never was, with what was before", &pb.DeleteRangeRequest{Key: []byte("d/9"), PrevKv: true}},
		{"one with what was before", &pb.DeleteRangeRequest{Key: []byte("d/2"), PrevKv: true}},
		{"an end before the key", &pb.DeleteRangeRequest{Key: []byte("d/5"), RangeEnd: []byte("d/3")}},
		{"a range with what was before", &pb.DeleteRangeRequest{Key: []byte("d/3"), RangeEnd: []byte("d/5"), PrevKv: true}},
		{"from a key on", &pb.DeleteRangeRequest{Key: []byte("d/"), RangeEnd: []byte{0}, PrevKv: true}},
		{"everything", &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
		{"everything of nothing", &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true}},
	}
	for _, step := range steps {
		c.deleteStep(step.name, step.request)
		c.everything(step.name + ": what is left")
	}
	if err := fill(); err != nil {
		return err
	}
	c.everything("made again")
	c.rangeStep("before the first delete", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: 8})
	return nil
}
