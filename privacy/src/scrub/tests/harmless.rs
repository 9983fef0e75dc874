//! Texts that hold nothing of a person: how many of them lose something all the same.

use super::*;

/// Messages, versions, builds, times and frames as programs write them.
const HARMLESS: &[&str] = &[
    "java.net.UnknownHostException: Unable to resolve host \"api.example.com\": No address associated with hostname",
    "java.net.SocketTimeoutException: failed to connect to api.example.com port 443 after 15000ms",
    "javax.net.ssl.SSLHandshakeException: java.security.cert.CertPathValidatorException: Trust anchor for certification path not found.",
    "kotlin.UninitializedPropertyAccessException: lateinit property viewModel has not been initialized",
    "NullPointerException: Attempt to invoke virtual method 'int android.view.View.getWidth()' on a null object reference",
    "android.view.WindowManager$BadTokenException: Unable to add window -- token null is not valid; is your activity running?",
    "android.database.sqlite.SQLiteException: no such table: alarms (code 1 SQLITE_ERROR): , while compiling: SELECT id FROM alarms",
    "OutOfMemoryError: Failed to allocate a 8294412 byte allocation with 1048576 free bytes and 986KB until OOM",
    "Fatal signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0 in tid 12345 (RenderThread), pid 12001",
    "#00 pc 000000000004c5a8  /system/lib64/libc.so (memcpy+184)",
    "at com.example.cam.player.PlayerFragment$onCreate$1.invokeSuspend(PlayerFragment.kt:214)",
    "at androidx.recyclerview.widget.RecyclerView$Adapter.bindViewHolder(RecyclerView.java:7065)",
    "-[UIViewController _loadViewFromNibNamed:bundle:] + 380",
    "Terminating app due to uncaught exception 'NSInvalidArgumentException', reason: '-[NSNull length]: unrecognized selector'",
    "EXC_BAD_ACCESS (SIGSEGV) KERN_INVALID_ADDRESS at 0x0000000000000010",
    "TypeError: undefined is not an object (evaluating 'this.props.navigation.state.params.deviceList')",
    "ReferenceError: regeneratorRuntime is not defined",
    "ChunkLoadError: Loading chunk 42 failed. (error: https://app.example.com/static/js/42.chunk.js)",
    "SyntaxError: Unexpected token < in JSON at position 0",
    "Uncaught (in promise) DOMException: play() failed because the user didn't interact with the document first.",
    "thread 'main' panicked at src/player/decoder.rs:120:17: index out of bounds: the len is 3 but the index is 7",
    "core::result::unwrap_failed::h0123456789abcdef at /rustc/library/core/src/result.rs:1654:5",
    "_ZN4core6result13unwrap_failed17h2f3e4d5c6b7a8901E",
    "_ZNSt6vectorIiSaIiEE9push_backERKi + 24",
    "System.NullReferenceException: Object reference not set to an instance of an object. at Cam.ViewModels.LiveViewModel.Start() in LiveViewModel.cs:line 88",
    "HTTP 504 Gateway Timeout after 30012 ms; retry 3 of 5",
    "rtsp 401 unauthorized; stream mainstream, codec h265, 2560x1440@25fps, 4096 kbps",
    "Codec error: MediaCodec$CodecException 0xfffffff4, diagnosticInfo android.media.MediaCodec.error_neg_12",
    "Windows 10.0.19045.3803, .NET 8.0.11, WebView2 131.0.2903",
    "iOS 17.5.1 (21F90), app 2.14.1 (3301), Xcode 15.4",
    "Android 14 UP1A.231005.007 S918BXXU3BWK5, patch 2024-11-01",
    "firmware V5.7.12 build 230628, boot loader 1.0.3-rc2+20241122",
    "Chrome/131.0.6778.86 Safari/537.36",
    "ffmpeg version n6.1.1-3ubuntu5+b1, libavcodec 60.31.102",
    "at 2026-11-22T10:30:59.123Z, started 05-01-2026, week 47, 22.11.2026 10:30, 11/22/2026",
    "took 123456 us, 0.123456 s, 98.7654321 %, 1.5e-7, 4294967295, 1732240000123",
    "size 1,234,567 bytes (12.5 MB), offset 18446744, 0x7ffe3c2a1b00, 0b1010",
    "frame 1200/12000 dropped, ratio 16/9, 1/1000 s",
    "cache miss for key device_list_v2, ttl 3600",
    "com.example.cam.internal.PlayerCore and com.google.android.gms.internal.tasks",
    "process.env.local is missing; .env.local not read",
    "GET /v1/devices/{id}/events?page -> 404",
    "navigation: home -> device/list -> settings/notifications",
    "POST /v1/users/login failed: invalid credentials",
    "user was not found; user id missing; owner: unknown; username: required",
    "password must have 8 characters; token expired; secret not set; api key missing",
    "host unreachable, connection to host lost, hostname not verified",
    "serial port busy; serial: unknown; device id missing",
    "phone 12, fax not supported, tel scheme missing",
    "position 3.25 of 12.5, lat 12.5 ms, long polling",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, SHA256withRSA, AES/CBC/PKCS5Padding",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz",
    "升级失败，错误码 1004，请稍后再试",
    "Gerät nicht gefunden, Fehler 1004, bitte später erneut versuchen",
    "Peranti tidak dijumpai, ralat 1004",
    "🐟 done in 12 ms — all good…",
    // Versions, builds, frames, files and their lines.
    "version 2.14.1-rc.3+build.5114, schema v12, api 34, r8 3.3.28",
    "#12 0x00007fff2a1b3c4d in start_thread () from /lib64/libpthread.so.0",
    "0   CameraKit   0x0000000104a3b2c8 0x104a30000 + 45768",
    "at Object.<anonymous> (/app/dist/main.bundle.js:2:104233)",
    "File \"player/decoder.py\", line 214, in decode_frame",
    "E/AndroidRuntime( 2871): FATAL EXCEPTION: main, PID: 2871",
    "app-release.apk, libplayer.so.1.2.3, IMG_0042.jpg, part-00003.parquet",
    "commit 9e107d9, tag v2.14.1, branch feature/live-view-2, PR #4711",
    // Times.
    "2026-11-22T10:30:59+08:00, 10:30:59.123456, 2026-W47-7, PT15M30S",
    "[22/Nov/2026:10:30:59 +0000] GET /v1/devices 200 5123",
    // Codes and states.
    "ERR_CERT_AUTHORITY_INVALID (-202), NSURLErrorDomain -1009, errno 104, 0x80004005, HRESULT 0x8007000E",
    "HTTP/1.1 503 Service Unavailable; Retry-After: 120; Content-Length: 20481",
    "exit status 139 (SIGSEGV), signal 9, code=killed, rc=-1",
    "SQLSTATE 23505, ORA-00001, KB5034441, RFC 9457, CVE-2026-12345",
    // Colours, sizes, numbers.
    "theme #1A2B3C on #FFFFFFFF, rgb(26, 43, 60), rgba(0,0,0,0.54), #abc",
    "heap 512/1024 MB, 1,048,576 bytes, 3840x2160@60, 16:9, 1/250 s, f/1.8, ISO 400",
    "took 97 ms, 110 ms, 110 ms and 97 ms; p50 12, p95 240, p99 1800",
    "progress 12 of 34, step 3/7, retry 2, attempt 10, queue 0",
    "battery 87 %, rssi -67 dBm, 25 fps, 4096 kbps, 21.5 C, gain +3.5 dB",
    "magic bytes 89 50 4E 47 0D 0A, got header 00 1A 2B 3C 4D 5E",
    "00 00 01 67 4d 00 1f 9a 64 02 80 2d d8 0a",
    "mask 255 255 255 0, rect 0 0 1920 1080, matrix 1 0 0 1 0 0",
    "[05-01-2024 10:30:59] started, 05/01/2024 10:30:59, 01/05/2024 10:30 AM, on 2024-01-05 10:30",
    "10:30:05 2024-01-05 started, 10:30:05 14023456 INFO up, 2024-01-05 10:30:05,012 1402345 INFO, 10:30:09.004 1402345 D/Cam",
    // Measures behind words for people.
    "cpu {\"user\":38579,\"system\":6986}, {\"login\":250,\"sync\":1200}, user: 0.35s, sys: 0.12s, {\"account\":3}",
    // Elements and arrows.
    "<div class=\"a\"><p>token expired</p></div>, List<User> to Map<String, Token>, login -> home, user => user.role, <init>",
    "Settings iPad, the browser's camera, isOwner=true, lastLogin=2024-01-05, autoLogin: false, iMac: 24-inch",
    "GET /home/live HTTP/1.1, /media/video/1, C:\\Users\\All Users\\x, {\"error\":\"bad \\\"quote\\\"\"}",
    // Values of JSON that are no secrets.
    "{\"user\":null,\"token\":true,\"password\":false,\"account\":{\"n\":1}}, user: 7, client: v2.14.1",
    "Speicherplatz 512 MB frei, Steckplatz 12 belegt, HTTP 403 Google Drive API, 100 Flash Drive",
    // Screens, files, packages and their versions.
    "/home/cameras, /home/alerts, /home/live, /home/living-room; /users/me/cameras, /account/verify-email, /profile/avatar",
    "failed to load icon@2x.png, AppIcon60x60@2x.png, react@18.3.0-canary.rc, status=404.html, v=4096.mp4",
    "MyApp/3301 CFNetwork/1498.700.2 Darwin/23.6.0, Firefox/132.0 Gecko/20100101, TCP/8080 refused",
    "package:app/profile/bloc/profile_bloc.dart 88:12, com/example/user/domain/GetUser.kt, src/account/hooks/useAccount.ts",
    "https://unpkg.com/@babel/standalone/babel.min.js, win-amd64, host arm64-v8a, frame 00007FF6A1B2C3D4",
    // What is said of users and devices.
    "Download cancelled by user after 30 s, closed by the user while loading, by user request, signed in as expected",
    "user preferences not found, account details not found, hostname: api.example.com, pan: 123.456, tilt: 45.678",
    "the user's phone is offline, the device's camera, Requires iPhone 12, Kamera di ruang tamu, Supports iPad",
    "token base64 decode failed, password sha256 mismatch",
    // What is said of people, and lists that hold none.
    "owner: will be told; owner: changed; owner: none set; ownerName: unknown; display name: settings; nickname: required",
    "full name: could not be read; display name: too long; displayName is missing; name of owner is not set; full name: required",
    "account holder: not verified, customer name: empty, contact name: invalid, contact: support, billing name: required field",
    "display name: updated by the server, owner: deleted, holder: LiveViewHolder, viewHolder=12, placeholder: text",
    "recipient: not found, patient: please wait, person: detected, face match: true, member: locked, visitor: none",
    "Thread name: main, class name: LiveView, event name: button_click, file name: report final.pdf, table name: events",
    "{\"name\":\"Front Door\"}, {\"name\":\"Samsung Galaxy\"}, {\"name\":\"Mobile Safari\",\"version\":\"17.5\"}, name: camera_1",
    "{\"names\":[\"on\",\"off\"]}, {\"names\":[\"Front Door\"]}, {\"columnNames\":[\"id\",\"name\"]}, {\"fileNames\":[\"a.txt\"]}",
    "{\"users\":[]}, {\"users\":[1,2,3]}, {\"userNames\":[]}, {\"tokens\":[\"null\"]}, {\"emails\":[null]}, users: [3 of 5], phones: [ 1, 2 ]",
    "screen_name=home, profileName: high, clientName: android, created_by=system, updatedBy: scheduler, sorted by: date",
    "shared with others, shared with Google Home, Customer Support Team, Owner Account Settings, Mr and Mrs",
    // Labels of numbers without one.
    "plate: not recognised, license plate missing, plate: 12 mm, vehicle no 12 of 15, account number missing, konto 12",
    "code 1004, code: 1004, error code: 482913, verification code: FAILED, caller id: none, contact no: 5, cameraId=12",
    "wifi password: incorrect, network key: undefined, psk: invalid, born 12 ms ago, Datum: 22.11.2026, Adresse: 0x7f3a",
    "Windows-PC, linux-pc, smart-nas, my-laptop, Works AirPods, zip: 12345 bytes, ip address: 10, street: unknown",
    "users: failed, retry; members: add, remove; contacts: not found, retry later; from: Live View, to: Camera Settings",
    "BUILTIN\\admin, HKLM\\software\\x, App\\models, sort -u file, docker run -u 1000:1000 x, CN=DigiCert Global Root, reporter: missing",
    // Names of programs and protocols.
    "ssh-ed25519 not allowed by policy; host key algorithms: ssh-rsa, ecdsa-sha2-nistp256",
    "x509: certificate signed by unknown authority; BEGIN CERTIFICATE marker missing",
    "-----BEGIN of report-----",
    "uuid missing, jwt expired, pem not found, mac filter on, bluetooth off",
    "codec avc1.64001f, hvc1.1.6.L93.B0, mp4a.40.2, opus 48000 Hz",
    "kernel 5.10.101-android13-4-00001-g8a1b, SDK 34, NDK r26b, AGP 8.1.2",
    "UA okhttp/4.12.0 Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UD1A.230803.041)",
    "user-agent parsed, order by date, profile loaded, account settings opened",
    "\u{1b}[31merror\u{1b}[0m in \u{1b}[1m12\u{1b}[0m files",
    "Ошибка сети: сервер недоступен, код 504",
];

/// Texts that no pattern can tell from what identifies, and what they lose.
const LOST: &[(&str, &str)] = &[
    ("matrix [0.70710678, -0.70710678]", "<coordinates>"),
    ("scores 0.912 0.887", "<coordinates>"),
    ("digits 0123456789", "<phone>"),
    ("dll 1.2.3.4 loaded", "<ip>"),
    ("chunk main.9e107d9d372b.js", "<mac>"),
    ("build R12345678", "<serial>"),
    ("at 20261122T103059Z", "<serial>"),
];

#[test]
fn what_looks_like_an_identifier_goes_as_well() {
    for (text, lost) in LOST {
        assert!(scrub(text).contains(lost), "{text} became {}", scrub(text));
    }
}

#[test]
fn harmless_texts_stay() {
    let changed: Vec<_> =
        HARMLESS.iter().map(|text| (text, scrub(text))).filter(|(text, out)| *out != **text).collect();
    assert!(changed.is_empty(), "{} of {}: {changed:#?}", changed.len(), HARMLESS.len());
}
