package main

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func rangeCell(name string, request *pb.RangeRequest) authCell {
	return authCell{name: name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.kv.Range(ctx, request)
		return rangeText(answer), err
	}}
}

func rangeOf(key, end string) *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}
}

func rangeCells() (cells []authCell) {
	for _, key := range []string{"k/a", "k/b", "k/b\x00", "k/c", "k/e", "k/none", "k", "k.", "k/", "k0", "x/1", "x/none", "\x00", "\xff"} {
		cells = append(cells, rangeCell("get "+authText(key), rangeOf(key, "")))
	}
	for _, each := range authRanges {
		cells = append(cells, rangeCell("range "+each.name(), rangeOf(each.key, each.end)))
	}
	with := func(name string, key, end string, change func(request *pb.RangeRequest)) {
		request := rangeOf(key, end)
		change(request)
		cells = append(cells, rangeCell(name, request))
	}
	serializable := func(request *pb.RangeRequest) { request.Serializable = true }
	countOnly := func(request *pb.RangeRequest) { request.CountOnly = true }
	keysOnly := func(request *pb.RangeRequest) { request.KeysOnly = true }
	at := func(revision int64) func(*pb.RangeRequest) {
		return func(request *pb.RangeRequest) { request.Revision = revision }
	}
	for _, key := range []string{"k/b", "x/1"} {
		with("get "+key+" serializable", key, "", serializable)
		with("count "+key, key, "", countOnly)
		with("get "+key+" of the past", key, "", at(4))
		with("get "+key+" compacted", key, "", at(1))
		with("get "+key+" of the future", key, "", at(1_000_000))
		with("get "+key+" of the past serializable", key, "", func(request *pb.RangeRequest) { request.Revision, request.Serializable = 4, true })
	}
	with("range k/ serializable", "k/", "k0", serializable)
	with("count k/", "k/", "k0", countOnly)
	with("keys of k/", "k/", "k0", keysOnly)
	with("range k/ limited", "k/", "k0", func(request *pb.RangeRequest) { request.Limit = 2 })
	with("range k/ sorted", "k/", "k0", func(request *pb.RangeRequest) {
		request.SortTarget, request.SortOrder = pb.RangeRequest_VALUE, pb.RangeRequest_DESCEND
	})
	with("range k/ newer", "k/", "k0", func(request *pb.RangeRequest) { request.MinModRevision = 1_000_000 })
	with("range k/ of the past", "k/", "k0", at(5))
	with("everything serializable", "\x00", "\x00", serializable)
	with("count everything", "\x00", "\x00", countOnly)
	with("keys of everything", "\x00", "\x00", keysOnly)
	with("everything of the past", "\x00", "\x00", at(5))
	with("get without a key", "", "", func(*pb.RangeRequest) {})
	with("everything without a key", "", "\x00", func(*pb.RangeRequest) {})
	return cells
}

// authRange is asked for by reads, deletes, comparisons and watches.
type authRange struct{ key, end string }

func (a authRange) name() string {
	if a.end == "\x00" {
		return "from " + authText(a.key)
	}
	return fmt.Sprintf("[%s %s)", authText(a.key), authText(a.end))
}

// authRanges end and begin at, before and behind what roles are about.
var authRanges = []authRange{
	{"k/b", "k/b\x00"}, {"k/b", "k/b\x00\x00"}, {"k/b", "k/c"}, {"k/b", "k/c\x00"}, {"k/a", "k/b"}, {"k/a", "k/c"},
	{"k/b", "k/d"}, {"k/b\x00", "k/c"}, {"k/c", "k/e"}, {"k/", "k0"}, {"k/", "k0\x00"}, {"k.", "k0"}, {"k", "l"}, {"x/", "x0"},
	{"k/", "k/c"}, {"k/c", "k0"}, {"k/b", "\x00"}, {"k/a", "\x00"}, {"k/c", "\x00"}, {"k/d", "\x00"}, {"k0", "\x00"}, {"\xff", "\x00"},
	{"\x00", "\x00"}, {"\x00", "k0"}, {"\x00", "\xff"}, {"k/b", "k/b"}, {"k/c", "k/a"}, {"x/2", "x/1"}, {"z", "k/b"},
}

func putCell(name string, request *pb.PutRequest) authCell {
	return authCell{name: name, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.kv.Put(ctx, request)
		return putText(answer), err
	}}
}

func putCells() (cells []authCell) {
	for _, key := range []string{"k/a", "k/b", "k/b\x00", "k/c", "k/new", "k", "k/", "k0", "x/1", "x/new", "\x00", "\xff"} {
		cells = append(cells, putCell("put "+authText(key), &pb.PutRequest{Key: []byte(key), Value: []byte("put")}))
	}
	with := func(name, key, value string, change func(request *pb.PutRequest)) {
		request := &pb.PutRequest{Key: []byte(key), Value: []byte(value)}
		change(request)
		cells = append(cells, putCell(name, request))
	}
	previous := func(request *pb.PutRequest) { request.PrevKv = true }
	for _, key := range []string{"k/a", "k/b", "k/new", "x/1"} {
		with("put "+key+" and see the previous", key, "put", previous)
	}
	for _, key := range []string{"k/b", "k/none", "x/1"} {
		with("put "+key+" with the value it has", key, "", func(request *pb.PutRequest) { request.IgnoreValue = true })
		with("put "+key+" with the lease it has", key, "put", func(request *pb.PutRequest) { request.IgnoreLease = true })
	}
	for _, lease := range []int64{leaseWithoutKeys, leaseInK, leaseInX, leaseInBoth, leaseOfB, leaseNowhere} {
		with(fmt.Sprintf("put k/b with lease %x", lease), "k/b", "put", func(request *pb.PutRequest) { request.Lease = lease })
	}
	with("put x/1 with a lease of nothing", "x/1", "put", func(request *pb.PutRequest) { request.Lease = leaseWithoutKeys })
	with("put x/1 with a lease that is not there", "x/1", "put", func(request *pb.PutRequest) { request.Lease = leaseNowhere })
	with("put k/b with a lease and see the previous", "k/b", "put", func(request *pb.PutRequest) {
		request.Lease, request.PrevKv = leaseOfB, true
	})
	with("put without a key", "", "put", func(*pb.PutRequest) {})
	with("put a value that is to be ignored", "k/b", "put", func(request *pb.PutRequest) { request.IgnoreValue = true })
	return cells
}

func deleteCell(name, key, end string, seesPrevious bool) authCell {
	return authCell{name: name, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end), PrevKv: seesPrevious})
		return deleteText(answer), err
	}}
}

func deleteCells() (cells []authCell) {
	for _, key := range []string{"k/a", "k/b", "k/c", "k/none", "k0", "x/1", "x/none"} {
		cells = append(cells, deleteCell("delete "+key, key, "", false))
	}
	cells = append(cells,
		deleteCell("delete k/b and see the previous", "k/b", "", true),
		deleteCell("delete x/1 and see the previous", "x/1", "", true),
		deleteCell("delete k/ and see the previous", "k/", "k0", true),
		deleteCell("delete from k/c and see the previous", "k/c", "\x00", true),
		deleteCell("delete everything and see the previous", "\x00", "\x00", true),
		deleteCell("delete without a key", "", "", false),
	)
	for _, each := range authRanges {
		cells = append(cells, deleteCell("delete "+each.name(), each.key, each.end, false))
	}
	for _, revision := range []int64{2, 1_000_000} {
		for _, isPhysical := range []bool{false, true} {
			request := &pb.CompactionRequest{Revision: revision, Physical: isPhysical}
			cells = append(cells, authCell{
				name: fmt.Sprintf("compact at %d, physically %v", revision, isPhysical),
				call: func(r *authRun, ctx context.Context) (string, error) {
					_, err := r.kv.Compact(ctx, request)
					return "compacted", err
				},
			})
		}
	}
	return cells
}
