<?php
// A shop that pays through the sidecar's Unix socket: POST amount=100 splits that
// amount (in fen) in two. It knows no key and signs nothing.

/** Posts JSON to the sidecar. Returns the outcome, and the answer or the problem. */
function pay($path, array $order)
{
    $headers = array();
    $curl = curl_init('http://sidecar' . $path);
    curl_setopt_array($curl, array(
        CURLOPT_UNIX_SOCKET_PATH => getenv('COUNTERSIGN_SOCKET'),
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => json_encode($order, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES),
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
        // Where no connection was made nothing was sent; else it is unknown.
        $outcome = curl_errno($curl) === CURLE_COULDNT_CONNECT ? 'not_sent' : 'unknown';
        return array($outcome, array('reason' => 'sidecar_unreachable'));
    }
    if (isset($headers['countersign-outcome'])) {
        return array($headers['countersign-outcome'], json_decode($body, true));
    }
    $verified = isset($headers['countersign-verified']) && $headers['countersign-verified'] === 'true';
    return array($verified ? 'verified' : 'unverified', json_decode($body, true));
}

/** An order with a number of its own, amounts as text. */
function order($amount)
{
    $trace = 'ORG00007' . date('YmdHis') . random_int(100000, 999999);
    $part = function ($number, $merchant, $amount) use ($trace) {
        return array(
            'orgMercode' => $merchant, 'orgTermno' => '21120434', 'orgSubTrace' => $trace . $number,
            'transAmt' => (string) $amount, 'feeCostAmt' => '0', 'patnerSettleFlag' => '0', 'otherfee' => '0', 'orgHfee' => '0',
        );
    };
    $first = intdiv($amount, 3);
    return array(
        'orgId' => 'ORG000000000007', 'orgMercode' => '831135358120001', 'orgTermNo' => '21120433',
        'orgTrace' => $trace, 'prodCode' => 'W04',
        'bizData' => array(
            'oriOrgTrace' => 'ORG0000720220224031331542213', 'transCount' => '2', 'transAmt' => (string) $amount,
            'orderSubDetails' => array($part(1, '831135358120002', $first), $part(2, '831135358120003', $amount - $first)),
        ),
    );
}

header('Content-Type: application/json');
$amount = filter_var(isset($_POST['amount']) ? $_POST['amount'] : null, FILTER_VALIDATE_INT, array('options' => array('min_range' => 2)));
if ($amount === false) {
    http_response_code(400);
    echo json_encode(array('error' => 'POST amount=<fen>, as in: curl -d amount=100 http://127.0.0.1:8000/')), "\n";
    exit;
}
$order = order($amount); // a real shop writes it into its books first
list($outcome, $answer) = pay('/easypay/ledger/mpos', $order);

// verified: read the provider's result code in the signed part, and compare the order.
// not_sent: nothing left; it may be sent again. unknown, unverified: ask the provider.
http_response_code($outcome === 'verified' ? 200 : 502);
echo json_encode(array('outcome' => $outcome, 'order' => $order['orgTrace'], 'answer' => $answer), JSON_UNESCAPED_UNICODE), "\n";
