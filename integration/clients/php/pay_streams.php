<?php
// Posts an order to the sidecar without the curl extension. PHP 5.6 and later.
// Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.

$context = stream_context_create(array('http' => array(
    'method' => 'POST',
    'header' => "Content-Type: application/json\r\n",
    'content' => file_get_contents($argv[2]),
    'ignore_errors' => true, // without it the body of an error is lost
    'timeout' => 40,         // longer than the sidecar's timeout of 30 s
)));
$body = @file_get_contents($argv[1], false, $context);
if ($body === false) {
    echo "unknown sidecar_unreachable\n"; // whether it was sent cannot be told here
    exit(11);
}
$headers = array();
foreach ($http_response_header as $line) {
    $parts = explode(':', $line, 2);
    if (count($parts) === 2) {
        $headers[strtolower(trim($parts[0]))] = trim($parts[1]);
    }
}
if (isset($headers['countersign-outcome'])) {
    $problem = json_decode($body, true);
    $outcome = $headers['countersign-outcome'];
    $text = isset($problem['reason']) ? $problem['reason'] : '';
} elseif (isset($headers['countersign-verified']) && $headers['countersign-verified'] === 'true') {
    $outcome = 'verified';
    $text = $body;
} else {
    $outcome = 'unverified';
    $text = 'not_verified';
}
echo $outcome, ' ', $text, "\n";
$exit = array('verified' => 0, 'not_sent' => 10, 'unknown' => 11, 'unverified' => 12);
exit($exit[$outcome]);
