package main

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func authGet(key, end string) *pb.RequestOp { return opRange(rangeOf(key, end)) }

func authPut(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte("txn")}}}
}

func authDelete(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)},
	}}
}

// isThere compares every key of a range, or one without an end; it is true of keys that exist.
func isThere(key, end string) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), RangeEnd: []byte(end), Result: pb.Compare_GREATER, Target: pb.Compare_CREATE,
		TargetUnion: &pb.Compare_CreateRevision{},
	}
}

func compares(all ...*pb.Compare) []*pb.Compare { return all }

func branches(success, failure []*pb.RequestOp) *pb.TxnRequest {
	return &pb.TxnRequest{Success: success, Failure: failure}
}

// falseTxn takes the branch for failure.
func falseTxn(success, failure []*pb.RequestOp) *pb.TxnRequest {
	return &pb.TxnRequest{Compare: compares(isThere("k/b", ""), isAbsent("k/b")), Success: success, Failure: failure}
}

func nested(inner *pb.TxnRequest) *pb.TxnRequest { return branches(ops(opTxn(inner)), nil) }

func txnCells() (cells []authCell) {
	add := func(name string, request *pb.TxnRequest) {
		cells = append(cells, authCell{name: "txn: " + name, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.kv.Txn(ctx, request)
			return txnText(answer), err
		}})
	}
	add("empty", &pb.TxnRequest{})
	for _, each := range []authRange{{"k/b", ""}, {"k/none", ""}, {"x/1", ""}, {"k/b", "k/c"}, {"k/b", "k/c\x00"}, {"k/", "k0"}, {"k/c", "\x00"}, {"\x00", "\x00"}} {
		name := each.name()
		if each.end == "" {
			name = each.key
		}
		add("only compare "+name, &pb.TxnRequest{Compare: compares(isThere(each.key, each.end))})
		add("compare "+name+" and put k/b", &pb.TxnRequest{Compare: compares(isThere(each.key, each.end)), Success: ops(authPut("k/b")), Failure: ops(authPut("k/b"))})
	}
	addReads(add)
	addWrites(add)
	addNested(add)
	return cells
}

func addReads(add func(name string, request *pb.TxnRequest)) {
	serializable := func(key string) *pb.RequestOp {
		return opRange(&pb.RangeRequest{Key: []byte(key), Serializable: true})
	}
	add("get k/b", branches(ops(authGet("k/b", "")), nil))
	add("get x/1", branches(ops(authGet("x/1", "")), nil))
	add("get k/b and x/1", branches(ops(authGet("k/b", ""), authGet("x/1", "")), nil))
	add("range k/", branches(ops(authGet("k/", "k0")), nil))
	add("range from k/c", branches(ops(authGet("k/c", "\x00")), nil))
	add("get k/b serializable", branches(ops(serializable("k/b")), nil))
	add("get x/1 serializable", branches(ops(serializable("x/1")), nil))
	add("get k/b, else x/1", branches(ops(authGet("k/b", "")), ops(authGet("x/1", ""))))
	add("get x/1, else k/b which comes", falseTxn(ops(authGet("x/1", "")), ops(authGet("k/b", ""))))
	add("get k/b of the past", branches(ops(opRange(&pb.RangeRequest{Key: []byte("k/b"), Revision: 4})), nil))
	add("get k/b compacted", branches(ops(opRange(&pb.RangeRequest{Key: []byte("k/b"), Revision: 1})), nil))
}

func addWrites(add func(name string, request *pb.TxnRequest)) {
	put := func(key string, change func(request *pb.PutRequest)) *pb.RequestOp {
		op := authPut(key)
		change(op.GetRequestPut())
		return op
	}
	previous := func(request *pb.PutRequest) { request.PrevKv = true }
	leased := func(lease int64) func(*pb.PutRequest) {
		return func(request *pb.PutRequest) { request.Lease = lease }
	}
	add("put k/b", branches(ops(authPut("k/b")), nil))
	add("put x/1", branches(ops(authPut("x/1")), nil))
	add("put k/b, else x/1", branches(ops(authPut("k/b")), ops(authPut("x/1"))))
	add("put x/1, else k/b which comes", falseTxn(ops(authPut("x/1")), ops(authPut("k/b"))))
	add("put k/b, else k/c", branches(ops(authPut("k/b")), ops(authPut("k/c"))))
	add("put k/b, else get x/1", branches(ops(authPut("k/b")), ops(authGet("x/1", ""))))
	add("nothing, else put x/1", branches(nil, ops(authPut("x/1"))))
	add("nothing, else delete x/1", branches(nil, ops(authDelete("x/1", ""))))
	add("put k/b and get it", branches(ops(authPut("k/b"), authGet("k/b", "")), nil))
	add("put k/b and get k/c", branches(ops(authPut("k/b"), authGet("k/c", "")), nil))
	add("put k/b and get x/1", branches(ops(authPut("k/b"), authGet("x/1", "")), nil))
	add("put k/b and range k/", branches(ops(authPut("k/b"), authGet("k/", "k0")), nil))
	add("put k/b and k/c", branches(ops(authPut("k/b"), authPut("k/c")), nil))
	add("put k/b and see the previous", branches(ops(put("k/b", previous)), nil))
	add("put k/b with the value it has", branches(ops(put("k/b", func(request *pb.PutRequest) { request.IgnoreValue, request.Value = true, nil })), nil))
	for _, lease := range []int64{leaseWithoutKeys, leaseInK, leaseInX, leaseInBoth, leaseOfB, leaseNowhere} {
		add("put k/b with a lease "+leaseText(lease), branches(ops(put("k/b", leased(lease))), nil))
	}
	add("nothing, else put k/b with a lease of x/", branches(nil, ops(put("k/b", leased(leaseInX)))))
	add("delete k/b", branches(ops(authDelete("k/b", "")), nil))
	add("delete x/1", branches(ops(authDelete("x/1", "")), nil))
	add("delete [k/b k/c)", branches(ops(authDelete("k/b", "k/c")), nil))
	add("delete [k/b k/c\\x00)", branches(ops(authDelete("k/b", "k/c\x00")), nil))
	add("delete from k/c", branches(ops(authDelete("k/c", "\x00")), nil))
	add("delete k/b and see the previous", branches(ops(opDelete("k/b", "")), nil))
	add("delete k/ and see the previous", branches(ops(opDelete("k/", "k0")), nil))
	add("one key put twice", branches(ops(authPut("x/1"), authPut("x/1")), nil))
	add("an operation that is none", branches(ops(&pb.RequestOp{}), nil))
	add("a put without a key", branches(ops(authPut("")), nil))
}

func addNested(add func(name string, request *pb.TxnRequest)) {
	add("nested put k/b", nested(branches(ops(authPut("k/b")), nil)))
	add("nested put x/1", nested(branches(ops(authPut("x/1")), nil)))
	add("nested get k/b", nested(branches(ops(authGet("k/b", "")), nil)))
	add("nested get x/1", nested(branches(ops(authGet("x/1", "")), nil)))
	add("nested nothing, else put x/1", nested(branches(nil, ops(authPut("x/1")))))
	add("nested compare x/1", nested(&pb.TxnRequest{Compare: compares(isThere("x/1", ""))}))
	add("nested compare k/ and put k/b", nested(&pb.TxnRequest{Compare: compares(isThere("k/", "k0")), Success: ops(authPut("k/b"))}))
	add("nested in the branch not taken put x/1", branches(ops(authPut("k/b")), ops(opTxn(branches(ops(authPut("x/1")), nil)))))
	add("nested in the branch not taken put k/c", branches(ops(authPut("k/b")), ops(opTxn(branches(ops(authPut("k/c")), nil)))))
	add("two deep put k/b", nested(nested(branches(ops(authPut("k/b")), nil))))
	add("two deep put x/1", nested(nested(branches(ops(authPut("x/1")), nil))))
	add("two deep nothing, else put k/b", nested(nested(branches(nil, ops(authPut("k/b"))))))
	add("two deep nothing, else put x/1", nested(nested(branches(nil, ops(authPut("x/1"))))))
	add("two deep compare x/1", nested(nested(&pb.TxnRequest{Compare: compares(isThere("x/1", ""))})))
	add("two deep get k/b and x/1", nested(nested(branches(ops(authGet("k/b", ""), authGet("x/1", "")), nil))))
	add("two deep delete from k/c", nested(nested(branches(ops(authDelete("k/c", "\x00")), nil))))
	add("two deep put k/b and get it at each level", branches(ops(authGet("k/b", ""), opTxn(branches(ops(authGet("k/b", ""), opTxn(branches(ops(authPut("k/b")), nil))), nil))), nil))
}
