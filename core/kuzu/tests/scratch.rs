#![cfg(feature = "kuzu")]
#![allow(missing_docs, clippy::all)]
use kuzu::*;
use std::time::Instant;
fn db() -> Database {
    Database::in_memory(SystemConfig::default().buffer_pool_size(64 << 20).max_num_threads(1).max_db_size(1 << 30)).unwrap()
}
fn s(x: &str) -> Value { Value::String(x.into()) }
fn st(f: Vec<(&str, Value)>) -> Value { Value::Struct(f.into_iter().map(|(a, b)| (a.to_string(), b)).collect()) }
fn list(v: Vec<Value>) -> Value { let t: LogicalType = (&v[0]).into(); Value::List(t, v) }
fn time<T>(name: &str, n: u32, mut f: impl FnMut(u32) -> T) {
    let t = Instant::now();
    for i in 0..n { f(i); }
    println!("{name}: {:.1} us", t.elapsed().as_secs_f64() * 1e6 / n as f64);
}
fn show(c: &Connection, q: &str) {
    match c.query(q) {
        Ok(r) => { println!("OK  {q}\n      {:?} {:?}", r.get_column_names(), r.get_column_data_types()); for row in r { println!("      {row:?}"); } }
        Err(e) => println!("ERR {q}\n      {e}"),
    }
}
fn exec(c: &Connection, p: &mut PreparedStatement, v: Vec<(&str, Value)>) -> Vec<Vec<Value>> { c.execute(p, v).unwrap().collect() }

#[test]
fn behaviour() {
    let d = db();
    let c = Connection::new(&d).unwrap();
    show(&c, "CREATE NODE TABLE `a.b` (`id` INT64, `x y` STRING, `MATCH` DOUBLE, PRIMARY KEY (`id`))");
    show(&c, "CREATE NODE TABLE `O'Neil \"q\" \\ ü🦀~ab12` (`name` STRING, PRIMARY KEY (`name`))");
    show(&c, "CREATE NODE TABLE `MATCH` (`CREATE` STRING, `SET` INT64, PRIMARY KEY (`CREATE`))");
    show(&c, "CREATE REL TABLE `R R` (FROM `a.b` TO `MATCH`, FROM `MATCH` TO `MATCH`, `~discriminator` STRING, `ü` BOOL)");
    show(&c, "CALL show_tables() RETURN *");
    show(&c, "CALL table_info('a.b') RETURN *");
    show(&c, "CALL table_info('O\\'Neil \"q\" \\\\ ü🦀~ab12') RETURN *");
    show(&c, "CALL table_info('R R') RETURN *");
    show(&c, "CALL show_connection('R R') RETURN *");
    show(&c, "MATCH (n:`a.b`) RETURN n.*");
    show(&c, "ALTER TABLE `a.b` ADD `AA` BOOL");
    show(&c, "ALTER TABLE `a.b` DROP `x y`");
    show(&c, "ALTER TABLE `a.b` ADD `x y` INT64");
    show(&c, "MATCH (n:`a.b`) RETURN n.*");
    show(&c, "ALTER TABLE `MATCH` RENAME TO `match`");
    show(&c, "ALTER TABLE `MATCH` RENAME TO `~x`");
    show(&c, "ALTER TABLE `~x` RENAME TO `match`");
    show(&c, "CALL show_connection('R R') RETURN *");
    show(&c, "CREATE (:`match` {`CREATE`: 'a'})");
    show(&c, "CREATE (:`match` {`CREATE`: 'b'})");
    show(&c, "CREATE (:`match` {`CREATE`: 'b'})");
    show(&c, "CREATE (:`a.b` {`id`: 1})");
    show(&c, "MATCH (a:`a.b`), (b:`match`) WHERE a.`id` = 1 AND b.`CREATE` = 'a' CREATE (a)-[:`R R` {`~discriminator`: 'd'}]->(b) RETURN count(*)");
    show(&c, "MATCH (a:`a.b`), (b:`match`) WHERE a.`id` = 1 AND b.`CREATE` = 'zz' CREATE (a)-[:`R R` {`~discriminator`: 'd'}]->(b) RETURN count(*)");
    show(&c, "ALTER TABLE `R R` ADD FROM `match` TO `a.b`");
    show(&c, "ALTER TABLE `R R` ADD FROM `match` TO `a.b`");
    show(&c, "CALL show_connection('R R') RETURN *");
    show(&c, "MATCH (b:`a.b`), (a:`match`) WHERE b.`id` = 1 AND a.`CREATE` = 'a' CREATE (a)-[:`R R` {`~discriminator`: 'd', `ü`: true}]->(b) RETURN count(*)");
    show(&c, "MATCH (a)-[e:`R R`]->(b) RETURN label(a), label(b), e.*");
    show(&c, "MATCH (a:`match`)-[e:`R R`]->(b:`a.b`) RETURN a.`CREATE`, b.`id`, e.*");
    show(&c, "MATCH (a:`match`) WHERE a.`CREATE` = 'a' DELETE a RETURN count(*)");
    show(&c, "MATCH (a:`match`)-[e:`R R`]->(b:`a.b`) WHERE a.`CREATE` = 'a' SET e.`ü` = false RETURN count(*)");
    show(&c, "MATCH (a:`match`)-[e:`R R`]->(b:`a.b`) WHERE a.`CREATE` = 'a' DELETE e RETURN count(*)");
    show(&c, "MATCH (a:`match`)-[e:`R R`]->(b:`a.b`) WHERE a.`CREATE` = 'a' DELETE e RETURN count(*)");
    show(&c, "MATCH (a:`match`) WHERE a.`CREATE` = 'b' DELETE a RETURN count(*)");
    show(&c, "MATCH (a:`match`) RETURN a.*");
    show(&c, "CREATE NODE TABLE `star` (`id` INT64, `*` STRING, PRIMARY KEY (`id`))");
    show(&c, "CALL table_info('star') RETURN *");
    show(&c, "CREATE NODE TABLE `dots` (`id` INT64, `a.b` STRING, `A'B\"\\` STRING, PRIMARY KEY (`id`))");
    show(&c, "MATCH (n:`dots`) RETURN n.*");
    show(&c, "CREATE NODE TABLE `É` (`id` INT64, `É` STRING, `é` STRING, PRIMARY KEY (`id`))");
    show(&c, "CREATE NODE TABLE `é` (`id` INT64, `É` STRING, `é` STRING, PRIMARY KEY (`id`))");
    show(&c, "CREATE NODE TABLE ` pad ` (`id` INT64, ` p ` STRING, PRIMARY KEY (`id`))");
    show(&c, "CALL table_info(' pad ') RETURN *");
    show(&c, "CREATE NODE TABLE `a;b//c` (`id` INT64, `/* p */` STRING, PRIMARY KEY (`id`))");
    show(&c, "CALL table_info('a;b//c') RETURN *");
    show(&c, "CALL show_tables() RETURN *");
    let mut p = c.prepare("CALL table_info($t) RETURN *");
    println!("{:?}", p.as_ref().err().map(|e| e.to_string()));
    if let Ok(p) = &mut p { println!("{:?}", c.execute(p, vec![("t", s("a;b//c"))])); }
}

#[test]
fn values() {
    let d = db();
    let c = Connection::new(&d).unwrap();
    c.query("CREATE NODE TABLE T (`id` STRING, b BOOL, i INT64, f DOUBLE, s STRING, PRIMARY KEY (`id`))").unwrap();
    let strings = ["", "a\0b", "\0", "longer than twelve bytes\0and more", "🦀", "🦀🦀🦀🦀 crab", " ", "\u{feff}x", "'; DROP TABLE T; //", "\\n", "\n", "é", "e\u{301}"];
    let ints = [0, 1, -1, i64::MIN, i64::MAX, i64::MIN + 1];
    let dbl = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1];
    let mut one = c.prepare("CREATE (:T {`id`: $k, b: $p0, i: $p1, f: $p2, s: $p3})").unwrap();
    let mut many = c.prepare("UNWIND $rows AS r CREATE (:T {`id`: r.k, b: r.p0, i: r.p1, f: r.p2, s: r.p3})").unwrap();
    for (n, x) in strings.iter().enumerate() {
        exec(&c, &mut one, vec![("k", s(&format!("s{x}"))), ("p0", Value::Bool(n % 2 == 0)), ("p1", Value::Int64(ints[n % 6])), ("p2", Value::Double(dbl[n % 10])), ("p3", s(x))]);
    }
    let rows = strings.iter().enumerate().map(|(n, x)| st(vec![("k", s(&format!("m{x}"))), ("p0", if n == 0 { Value::Null(LogicalType::Bool) } else { Value::Bool(n % 2 == 0) }), ("p1", if n == 3 { Value::Null(LogicalType::Int64) } else { Value::Int64(ints[n % 6]) }), ("p2", if n == 0 { Value::Null(LogicalType::Double) } else { Value::Double(dbl[n % 10]) }), ("p3", if n == 1 { Value::Null(LogicalType::String) } else { s(x) })])).collect();
    exec(&c, &mut many, vec![("rows", list(rows))]);
    show(&c, "MATCH (n:T) RETURN n.id, n.b, n.i, n.f, n.s");
    let mut find = c.prepare("MATCH (n:T) WHERE n.id = $k RETURN count(*)").unwrap();
    for x in strings { println!("{x:?} {:?} {:?}", exec(&c, &mut find, vec![("k", s(&format!("s{x}")))]), exec(&c, &mut find, vec![("k", s(&format!("m{x}")))])); }
    for r in c.query("MATCH (n:T) RETURN n.f").unwrap() { if let Value::Double(x) = r[0] { print!("{:x} ", x.to_bits()); } }
    println!();
    for len in [4095, 4096, 4097, 65536, 262143, 262144, 262145, 1 << 20] {
        let big = "x".repeat(len);
        let r = c.execute(&mut one, vec![("k", s(&format!("len{len}"))), ("p0", Value::Bool(true)), ("p1", Value::Int64(1)), ("p2", Value::Double(1.0)), ("p3", s(&big))]);
        println!("{len} {:?}", r.as_ref().err().map(|e| e.to_string()));
        let r = c.execute(&mut one, vec![("k", s(&big)), ("p0", Value::Bool(true)), ("p1", Value::Int64(1)), ("p2", Value::Double(1.0)), ("p3", s("big key"))]);
        println!("key {len} {:?}", r.as_ref().err().map(|e| e.to_string()));
    }
    for r in c.query("MATCH (n:T) WHERE size(n.id) > 1000 OR size(n.s) > 1000 RETURN size(n.id), size(n.s)").unwrap() { println!("{r:?}"); }
    // all null columns, missing parameters
    println!("null all: {:?}", c.execute(&mut many, vec![("rows", list(vec![st(vec![("k", s("nn")), ("p0", Value::Null(LogicalType::Bool)), ("p1", Value::Null(LogicalType::Int64)), ("p2", Value::Null(LogicalType::Double)), ("p3", Value::Null(LogicalType::String))])]))]).map(|r| r.to_string()).map_err(|e| e.to_string()));
    println!("missing: {:?}", c.execute(&mut one, vec![("k", s("zz1"))]).map(|r| r.to_string()).map_err(|e| e.to_string()));
    show(&c, "MATCH (n:T) WHERE n.id = 'zz1' RETURN n.id, n.b, n.i, n.f, size(n.s)");
}

#[test]
fn costs() {
    let d = db();
    time("open+close", 20, |_| drop(db()));
    let c = Connection::new(&d).unwrap();
    time("create table", 20, |i| drop(c.query(&format!("CREATE NODE TABLE X{i} (id INT64, a STRING, PRIMARY KEY (id))")).unwrap()));
    time("add column", 20, |i| drop(c.query(&format!("ALTER TABLE X{i} ADD b STRING")).unwrap()));
    c.query("CREATE NODE TABLE T (`id` INT64, b BOOL, i INT64, f DOUBLE, s STRING, PRIMARY KEY (`id`))").unwrap();
    c.query("CREATE NODE TABLE U (`id` INT64, s STRING, PRIMARY KEY (`id`))").unwrap();
    c.query("CREATE REL TABLE R (FROM T TO U, FROM U TO U, FROM T TO T, `~d` STRING, w DOUBLE)").unwrap();
    let row = |n: i64| vec![("k", Value::Int64(n)), ("p0", Value::Bool(true)), ("p1", Value::Int64(n)), ("p2", Value::Double(0.5)), ("p3", s("hello"))];
    let mut c1 = c.prepare("CREATE (:T {`id`: $k, b: $p0, i: $p1, f: $p2, s: $p3})").unwrap();
    let mut c1c = c.prepare("CREATE (:T {`id`: $k, b: $p0, i: $p1, f: $p2, s: $p3}) RETURN count(*)").unwrap();
    let mut cn = c.prepare("UNWIND $rows AS r CREATE (:T {`id`: r.k, b: r.p0, i: r.p1, f: r.p2, s: r.p3})").unwrap();
    let mut cnc = c.prepare("UNWIND $rows AS r CREATE (:T {`id`: r.k, b: r.p0, i: r.p1, f: r.p2, s: r.p3}) RETURN count(*)").unwrap();
    for round in 0..2i64 {
        let base = round * 100_000;
        time("create single", 200, |i| exec(&c, &mut c1, row(base + i as i64)));
        time("create single count", 200, |i| exec(&c, &mut c1c, row(base + 1000 + i as i64)));
        time("create unwind 1", 200, |i| exec(&c, &mut cn, vec![("rows", list(vec![st(row(base + 2000 + i as i64))]))]));
        time("create unwind 1 count", 200, |i| exec(&c, &mut cnc, vec![("rows", list(vec![st(row(base + 3000 + i as i64))]))]));
        for (n, off) in [(2i64, 50_000), (4, 51_000), (10, 52_000)] {
            time(&format!("create unwind {n}"), 50, |i| exec(&c, &mut cn, vec![("rows", list((0..n).map(|j| st(row(base + off + i as i64 * n + j))).collect()))]));
        }
        time("create unwind 1000", 5, |i| exec(&c, &mut cn, vec![("rows", list((0..1000).map(|j| st(row(base + 10_000 + i as i64 * 1000 + j))).collect()))]));
        let mut u1 = c.prepare("MATCH (n:T) WHERE n.`id` = $k SET n.b = $p0, n.i = $p1, n.f = $p2, n.s = $p3").unwrap();
        let mut u1c = c.prepare("MATCH (n:T) WHERE n.`id` = $k SET n.b = $p0, n.i = $p1, n.f = $p2, n.s = $p3 RETURN count(*)").unwrap();
        let mut u1p = c.prepare("MATCH (n:T {`id`: $k}) SET n.b = $p0, n.i = $p1, n.f = $p2, n.s = $p3 RETURN n.id").unwrap();
        let mut u1one = c.prepare("MATCH (n:T) WHERE n.`id` = $k SET n.i = $p1 RETURN count(*)").unwrap();
        let mut un = c.prepare("UNWIND $rows AS r MATCH (n:T) WHERE n.`id` = r.k SET n.b = r.p0, n.i = r.p1, n.f = r.p2, n.s = r.p3 RETURN count(*)").unwrap();
        time("update single", 200, |i| exec(&c, &mut u1, row(base + i as i64)));
        time("update single count", 200, |i| exec(&c, &mut u1c, row(base + i as i64)));
        time("update single return id", 200, |i| exec(&c, &mut u1p, row(base + i as i64)));
        time("update single one column", 200, |i| exec(&c, &mut u1one, vec![("k", Value::Int64(base + i as i64)), ("p1", Value::Int64(5))]));
        time("update unwind 1", 200, |i| exec(&c, &mut un, vec![("rows", list(vec![st(row(base + i as i64))]))]));
        for n in [2i64, 4, 10] {
            time(&format!("update unwind {n}"), 20, |i| exec(&c, &mut un, vec![("rows", list((0..n).map(|j| st(row(base + i as i64 * n + j))).collect()))]));
        }
        time("update unwind 1000", 5, |i| { let r = exec(&c, &mut un, vec![("rows", list((0..1000).map(|j| st(row(base + 10_000 + i as i64 * 1000 + j))).collect()))]); assert_eq!(r[0][0], Value::Int64(1000)); });
        // edges
        let mut cu = c.prepare("UNWIND $rows AS r CREATE (:U {`id`: r.k, s: r.p3})").unwrap();
        exec(&c, &mut cu, vec![("rows", list((0..1000).map(|j| st(vec![("k", Value::Int64(base + j)), ("p3", s("u"))])).collect()))]);
        let e = |i: i64| vec![("a", Value::Int64(base + i % 200)), ("b", Value::Int64(base + i % 1000)), ("d", s(&format!("d{i}"))), ("w", Value::Double(1.5))];
        let ek = |i: i64| vec![("a", Value::Int64(base + i % 200)), ("b", Value::Int64(base + i % 1000)), ("d", s(&format!("d{i}")))];
        let mut e1 = c.prepare("MATCH (a:T), (b:U) WHERE a.`id` = $a AND b.`id` = $b CREATE (a)-[:R {`~d`: $d, w: $w}]->(b)").unwrap();
        let mut e1c = c.prepare("MATCH (a:T), (b:U) WHERE a.`id` = $a AND b.`id` = $b CREATE (a)-[:R {`~d`: $d, w: $w}]->(b) RETURN count(*)").unwrap();
        let mut en = c.prepare("UNWIND $rows AS r MATCH (a:T), (b:U) WHERE a.`id` = r.a AND b.`id` = r.b CREATE (a)-[:R {`~d`: r.d, w: r.w}]->(b) RETURN count(*)").unwrap();
        time("edge single", 200, |i| exec(&c, &mut e1, e(i as i64)));
        time("edge single count", 200, |i| assert_eq!(exec(&c, &mut e1c, e(200 + i as i64))[0][0], Value::Int64(1)));
        time("edge unwind 1", 200, |i| exec(&c, &mut en, vec![("rows", list(vec![st(e(400 + i as i64))]))]));
        for n in [2i64, 4, 10] {
            time(&format!("edge unwind {n}"), 20, |i| exec(&c, &mut en, vec![("rows", list((0..n).map(|j| st(e(100_000 * n + i as i64 * n + j))).collect()))]));
        }
        time("edge unwind 1000", 3, |i| { let r = exec(&c, &mut en, vec![("rows", list((0..1000).map(|j| st(e(1000 + i as i64 * 1000 + j))).collect()))]); assert_eq!(r[0][0], Value::Int64(1000)); });
        let mut eu = c.prepare("MATCH (a:T)-[e:R]->(b:U) WHERE a.`id` = $a AND b.`id` = $b AND e.`~d` = $d SET e.w = $w RETURN count(*)").unwrap();
        let mut eun = c.prepare("UNWIND $rows AS r MATCH (a:T)-[e:R]->(b:U) WHERE a.`id` = r.a AND b.`id` = r.b AND e.`~d` = r.d SET e.w = r.w RETURN count(*)").unwrap();
        let mut ed = c.prepare("MATCH (a:T)-[e:R]->(b:U) WHERE a.`id` = $a AND b.`id` = $b AND e.`~d` = $d DELETE e RETURN count(*)").unwrap();
        let mut edn = c.prepare("UNWIND $rows AS r MATCH (a:T)-[e:R]->(b:U) WHERE a.`id` = r.a AND b.`id` = r.b AND e.`~d` = r.d DELETE e RETURN count(*)").unwrap();
        time("edge update single", 100, |i| assert_eq!(exec(&c, &mut eu, e(i as i64))[0][0], Value::Int64(1)));
        time("edge update unwind 1", 20, |i| assert_eq!(exec(&c, &mut eun, vec![("rows", list(vec![st(e(i as i64))]))])[0][0], Value::Int64(1)));
        for n in [2i64, 10] {
            time(&format!("edge update unwind {n}"), 10, |i| exec(&c, &mut eun, vec![("rows", list((0..n).map(|j| st(e(1000 + i as i64 * n + j))).collect()))]));
        }
        time("edge update unwind 1000", 2, |i| { let r = exec(&c, &mut eun, vec![("rows", list((0..1000).map(|j| st(e(1000 + i as i64 * 1000 + j))).collect()))]); println!("{r:?}"); });
        time("edge delete single", 100, |i| assert_eq!(exec(&c, &mut ed, ek(i as i64))[0][0], Value::Int64(1)));
        time("edge delete unwind 1", 20, |i| assert_eq!(exec(&c, &mut edn, vec![("rows", list(vec![st(ek(100 + i as i64))]))])[0][0], Value::Int64(1)));
        time("edge delete unwind 1000", 2, |i| { let r = exec(&c, &mut edn, vec![("rows", list((0..1000).map(|j| st(ek(1000 + i as i64 * 1000 + j))).collect()))]); println!("{r:?}"); });
        let mut nd = c.prepare("MATCH (n:T) WHERE n.`id` = $k DELETE n RETURN count(*)").unwrap();
        let mut ndn = c.prepare("UNWIND $rows AS r MATCH (n:T) WHERE n.`id` = r.k DELETE n RETURN count(*)").unwrap();
        time("node delete single", 100, |i| assert_eq!(exec(&c, &mut nd, vec![("k", Value::Int64(base + 1000 + i as i64))])[0][0], Value::Int64(1)));
        time("node delete unwind 1", 20, |i| assert_eq!(exec(&c, &mut ndn, vec![("rows", list(vec![st(vec![("k", Value::Int64(base + 2000 + i as i64))])]))])[0][0], Value::Int64(1)));
        time("node delete unwind 1000", 2, |i| { let r = exec(&c, &mut ndn, vec![("rows", list((0..1000).map(|j| st(vec![("k", Value::Int64(base + 10_000 + i as i64 * 1000 + j))])).collect()))]); println!("{r:?}"); });
        let mut scan = c.prepare("MATCH (n:T) RETURN n.id, n.b, n.i, n.f, n.s").unwrap();
        time("scan T", 3, |_| println!("{}", exec(&c, &mut scan, vec![]).len()));
        let mut scan = c.prepare("MATCH (a:T)-[e:R]->(b:U) RETURN a.id, b.id, e.`~d`, e.w").unwrap();
        time("scan R", 3, |_| println!("{}", exec(&c, &mut scan, vec![]).len()));
        time("show_tables", 20, |_| c.query("CALL show_tables() RETURN *").unwrap().count());
        time("table_info", 20, |_| c.query("CALL table_info('T') RETURN *").unwrap().count());
        time("show_connection", 20, |_| c.query("CALL show_connection('R') RETURN *").unwrap().count());
    }
}
