BEGIN TRANSACTION;
CREATE TABLE attempts (
        number INTEGER PRIMARY KEY AUTOINCREMENT, reload_id TEXT NOT NULL UNIQUE, report TEXT NOT NULL);
INSERT INTO "attempts" VALUES(1,'1','{"success":true,"directory":"/characters","total_files":0,"loaded_count":0,"error_count":0,"load_duration":0.0,"message":"done","reload_id":"1","outcome":"applied","trigger":"http","scope":"all","dry_run":false,"reason":null,"generation":1,"revision":"","started_at":"","changes":{"added":[],"removed":[],"modified":[],"unchanged":0},"errors":[],"sessions":{"policy":"close","total":0,"affected":0},"serving":{"generation":1,"revision":"","characters":0},"timings":{"queue":0.0,"snapshot":0.0,"build":0.0,"swap":0.0}}');
INSERT INTO "attempts" VALUES(2,'2','{"success":true,"directory":"/characters","total_files":0,"loaded_count":0,"error_count":0,"load_duration":0.0,"message":"done","reload_id":"2","outcome":"applied","trigger":"http","scope":"all","dry_run":false,"reason":null,"generation":2,"revision":"","started_at":"","changes":{"added":[],"removed":[],"modified":[],"unchanged":0},"errors":[],"sessions":{"policy":"close","total":0,"affected":0},"serving":{"generation":2,"revision":"","characters":0},"timings":{"queue":0.0,"snapshot":0.0,"build":0.0,"swap":0.0}}');
CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
INSERT INTO "contents" VALUES(1,X'D585F16BE25710EBF0B2CE8D164690FF706D34AA8A4EDE2A9E6439E52F1E7D4E',X'41203D2031');
INSERT INTO "contents" VALUES(2,X'2C1B237491E8E42EB16007CAD9B23E5C88BFCC794AF710D55F7D3D979EB2E163',X'41203D2032');
INSERT INTO "contents" VALUES(3,X'89276F0AFE83875F15036B4FA8AD29D3B5B7952DE485BFD598955A194179692C',X'42203D2031');
CREATE TABLE conversations (
        id TEXT PRIMARY KEY, saved REAL NOT NULL, character TEXT NOT NULL, owner TEXT NOT NULL,
        dialect TEXT, config TEXT, conversation TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "conversations" VALUES('sess_1',1.7960375991043865681e+09,'Ada','me','ga','{"voice":"x"}','conv_1');
CREATE TABLE directories (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
INSERT INTO "directories" VALUES(1,X'2F7372762F63686172616374657273');
CREATE TABLE files (
        directory INTEGER NOT NULL REFERENCES directories,
        path BLOB NOT NULL,
        first INTEGER NOT NULL, last INTEGER,
        content INTEGER NOT NULL REFERENCES contents,
        PRIMARY KEY (directory, path, first)) WITHOUT ROWID;
INSERT INTO "files" VALUES(1,X'6164612E7079',1,1,1);
INSERT INTO "files" VALUES(1,X'6164612E7079',2,NULL,2);
INSERT INTO "files" VALUES(1,X'626F622E7079',2,NULL,3);
CREATE TABLE items (
        session TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE, position INTEGER NOT NULL, item TEXT NOT NULL,
        PRIMARY KEY (session, position)) WITHOUT ROWID;
INSERT INTO "items" VALUES('sess_1',0,'{"kind":"Message","id":"item_57303916c9c519d883929111e7324320","status":"completed","hidden":false,"attached":null,"role":"user","parts":[{"kind":"Text","text":"Hi"}],"name":null}');
CREATE TABLE members (
        generation INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
        position INTEGER NOT NULL,
        snapshot INTEGER NOT NULL REFERENCES snapshots,
        path BLOB NOT NULL, fingerprint TEXT NOT NULL,
        PRIMARY KEY (generation, position)) WITHOUT ROWID;
INSERT INTO "members" VALUES(1,0,1,X'6164612E7079','sha256:0');
INSERT INTO "members" VALUES(2,0,2,X'6164612E7079','sha256:0');
INSERT INTO "members" VALUES(2,1,2,X'626F622E7079','sha256:1');
CREATE TABLE sets (
        generation INTEGER PRIMARY KEY, directory BLOB NOT NULL, revision TEXT NOT NULL, disk TEXT);
INSERT INTO "sets" VALUES(1,X'2F7372762F63686172616374657273','sha256:1','sha256:ddb9b1528d38694e4831d4f98e4439a12c10bd4baa3e5460a820fdc4ebd3a202');
INSERT INTO "sets" VALUES(2,X'2F7372762F63686172616374657273','sha256:2','sha256:da4c3fb0a7e7a63bb56bf05ef6332049c312d3a4e59ed664e9173cd42279abf4');
CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        directory INTEGER NOT NULL REFERENCES directories, place BLOB NOT NULL, taken INTEGER NOT NULL);
INSERT INTO "snapshots" VALUES(1,1,X'',1);
INSERT INTO "snapshots" VALUES(2,1,X'',2);
CREATE INDEX snapshots_of_directory ON snapshots (directory, id);
CREATE INDEX files_of_content ON files (content);
CREATE INDEX members_of_snapshot ON members (snapshot);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('attempts',2);
INSERT INTO "sqlite_sequence" VALUES('snapshots',2);
COMMIT;
