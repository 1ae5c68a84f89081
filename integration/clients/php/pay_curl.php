<?php
// Posts an order to the sidecar with the curl extension. PHP 5.6 and later.
// Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.

function pay($url, $json)
{
    $headers = array();
    $curl = curl_init($url);
    curl_setopt_array($curl, array(
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => $json,
        CURLOPT_HTTPHEADER => array('Content-Type: application/json', 'Expect:'),
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_CONNECTTIMEOUT => 3,
        CURLOPT_TIMEOUT => 40, // longer than the sidecar's timeout of 30 s
        CURLOPT_HEADERFUNCTION => function ($curl, $line) use (&$headers) {
            $parts = explode(':', $line, 2);
            if (count($parts) === 2) {
                $headers[strtolower(trim($parts[0]))] = trim($parts[1]);
            }
            return strlen($line);
        },
    ));
    $body = curl_exec($curl);
    if ($body === false) {
        // Nothing was sent where no connection was made; else it is unknown.
        $errno = curl_errno($curl);
        $notSent = array(CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST);
        return array(in_array($errno, $notSent, true) ? 'not_sent' : 'unknown', 'sidecar_unreachable');
    }
    return outcome($headers, $body);
}

function outcome($headers, $body)
{
    if (isset($headers['countersign-outcome'])) {
        $problem = json_decode($body, true);
        return array($headers['countersign-outcome'], isset($problem['reason']) ? $problem['reason'] : '');
    }
    if (!isset($headers['countersign-verified']) || $headers['countersign-verified'] !== 'true') {
        return array('unverified', 'not_verified');
    }
    return array('verified', $body);
}

list($outcome, $text) = pay($argv[1], file_get_contents($argv[2]));
echo $outcome, ' ', $text, "\n";
$exit = array('verified' => 0, 'not_sent' => 10, 'unknown' => 11, 'unverified' => 12);
exit($exit[$outcome]);
