package i18n

// What keeps a message from being read, sealed or opened.
var chineseMessage = map[string]string{
	"not valid JSON":                     "不是合法的 JSON",
	"not a JSON object":                  "不是 JSON 对象",
	"the same member name twice":         "同一个字段名出现两次",
	"more than %d levels deep":           "嵌套超过 %d 层",
	"%w near byte %d":                    "%w，在第 %d 字节附近",
	"%w: there is more after the object": "%w：对象后面还有内容",
	"%w: there is more after the value":  "%w：值后面还有内容",

	"the path %q has an empty name; write it as in body.list.0.amount": "路径 %q 里有空的名字；请写成 body.list.0.amount 这样",
	"it is neither an object nor a list":                               "它既不是对象也不是数组",

	"%s: the list has no element %s": "%s：数组里没有第 %s 个元素",

	"a signed value holds the name of another signed member, or a name holds a separator": "某个参与签名的值里含有另一个字段的名字，或者某个字段名里含有分隔符",

	"two members are equal but for case": "两个字段只差大小写",

	"an object or a list cannot be signed here; send it as a string":         "对象或数组不能在这里参与签名；请以字符串发送",
	"the provider has no rule for true and false; send a number or a string": "渠道没有规定 true 和 false 怎么签名；请发送数字或字符串",
	"the names of its parents make the signed text too long":                 "加上各级父字段的名字后待签名串太长",
	"it must be a string that lists the signed names, each once":             "它必须是字符串，列出参与签名的字段名，每个一次",
	"member %s: %w": "字段 %s：%w",
	"name":          "域名",

	"writing member %s as compact JSON: %w": "把字段 %s 写成紧凑 JSON 时出错：%w",
	"json is sorted or deep, not %q":        "json 只能是 sorted 或 deep，不能是 %q",

	"order": "顺序",

	"not standard Base64": "不是标准 Base64",
	"not hexadecimal":     "不是十六进制",

	"there are parameters in the body and in the query; a form stands in one of them": "正文和查询串里都有参数；表单只能在其中一处",
	"the body is not URL-encoded":     "正文没有做 URL 编码",
	"the body has no field %s":        "正文里没有字段 %s",
	"the field %s is not URL-encoded": "字段 %s 没有做 URL 编码",

	"it occurs twice":               "它出现两次",
	"the header %s: %w":             "报文头 %s：%w",
	"the query has a broken escape": "查询串里有残缺的转义",
	"a parameter of the query: %w":  "查询串里的一个参数：%w",

	"the certificate in the message is not valid: %w":                                                                  "报文里的证书无效：%w",
	"the key set has no certificate in the role verify, in which the chain of the message's certificate could end":     "密钥集的 verify 里没有证书，报文里证书的证书链无从验证",
	"the certificate in the message was not issued by a certificate of the key set's role verify, or is not valid now": "报文里的证书不是由密钥集 verify 里的证书签发的，或者现在不在有效期内",
	"the certificate in the message belongs to another subject than the recipe names":                                  "报文里的证书属于另一个主体，不是配方所写的",

	"the signature is the one of the request itself, sent back":                        "这个签名就是请求自己的签名，被原样发了回来",
	"the message can be read in two ways: there is another member %s in other letters": "报文可以有两种读法：还有一个只差大小写的字段 %s",

	"the signature does not verify with any of the configured keys":                                  "签名用配置的任何一个密钥都验不过",
	"the signature over %s does not verify with any of the configured keys":                          "对 %s 的签名用配置的任何一个密钥都验不过",
	"the encrypted members do not open with the request's key or any of the configured decrypt keys": "加密字段用请求的密钥和配置的任何一个 decrypt 密钥都解不开",
	"%v; the log says why": "%v；原因见日志",

	"the answer names another %s than the request": "应答里的 %s 和请求里的不是同一个",

	"the message could not be read":                                "报文无法读取",
	"the scheme does not describe itself":                          "方案没有描述自己",
	"the scheme names no signature of the message":                 "方案没有指明报文的签名",
	"the message can be read in two ways: %w":                      "报文可以有两种读法：%w",
	"the scheme reveals no message":                                "方案没有给出报文",
	"%s has no rule for answers, which the provider does not sign": "%s 没有应答的规则，渠道不对应答签名",

	"the request could not be signed":                                                     "请求无法加签",
	"the scheme has made no signature":                                                    "方案没有产生签名",
	"the key set has no key sign@%s":                                                      "密钥集没有密钥 sign@%s",
	"the scheme names no algorithm for %s":                                                "方案没有指明 %s 的算法",
	"the secret %s stands for an empty key; write the secret that the provider has given": "密钥 %s 相当于空密钥；请写渠道给的密钥",
	"what the scheme digests holds no secret, so that anybody could make the signature":   "方案计算摘要的内容里没有密钥，任何人都能做出这个签名",

	"the message has more than %d signatures in %s":                                      "报文在 %[2]s 里的签名超过 %[1]d 个",
	"the signature is percent-encoded where it is read: the sender has escaped it twice": "读到的签名带有百分号转义：发送方多转义了一次",
	"a message is verified with keys of the role verify, not of %s":                      "报文要用 verify 用途的密钥验签，不能用 %s",
	"the key set has no verify key with the serial %s; add it as verify@%s":              "密钥集没有序列号为 %s 的验签公钥；请把它加为 verify@%s",
	"the message has no time stamp that can be read, so that its age is not known":       "报文没有可读的时间戳，无法知道它有多旧",
	"the message's time stamp is older than %s":                                          "报文的时间戳早于 %s",
	"the message's time stamp is more than %s in the future; compare the clocks":         "报文的时间戳在未来超过 %s；请校对时钟",

	"the form has & in a value, or a field without =: %w": "表单的值里有 &，或者有字段没有 =：%w",
	"a field's name is %w":                                "有个字段名%w",
	"field %s is %w":                                      "字段 %s %w",
	"%w: a semicolon, which some servers take for a separator, is not escaped": "%w：分号没有转义，有些服务器把它当作分隔符",
	"%w: a percent sign is not followed by two hexadecimal digits":             "%w：百分号后面不是两位十六进制数字",
	"a field has no name: %w":                                    "有个字段没有名字：%w",
	"field %s: white space or a control character in a name: %w": "字段 %s：名字里有空白或控制字符：%w",
	"field %s, as some servers read names: %w":                   "字段 %s（按某些服务器的读法）：%w",
	"field %s holds a separator: %w":                             "字段 %s 的值含有分隔符：%w",

	"not well formed":      "格式不对",
	"in another charset":   "字符集不对",
	"a field occurs twice": "有字段出现两次",
	"an object or a list has no place in it; send it as a string":                   "对象或数组在这里没有地方放；请以字符串发送",
	"it cannot be written in this format":                                           "不能写成这种格式",
	"root %s is not a name of ASCII letters, digits, hyphens, underscores and dots": "根元素 %s 不是由 ASCII 字母、数字、连字符、下划线和点组成的名字",
	"charset is utf-8, gbk or gb18030, not %s":                                      "字符集只能是 utf-8、gbk 或 gb18030，不能是 %s",
	"not valid %s: %w":                                    "不是合法的 %s：%w",
	"not UTF-8; it looks like GBK: %w":                    "不是 UTF-8，看起来像 GBK：%w",
	"not UTF-8: %w":                                       "不是 UTF-8：%w",
	"field %s is not UTF-8: %w":                           "字段 %s 不是 UTF-8：%w",
	"field %s has a character that %s does not have: %w":  "字段 %s 里有 %s 没有的字符：%w",
	"field %s: %w":                                        "字段 %s：%w",
	"the text is %w":                                      "文本%w",
	"a bare text is an object with the one member %s: %w": "裸文本必须是只有一个字段 %s 的对象：%w",

	"the XML is %w":                                        "这段 XML %w",
	"the XML is %w near byte %d":                           "XML %w，在第 %d 字节附近",
	"the XML is %w: it ends too early":                     "XML %w：内容不完整",
	"element %s: %w":                                       "元素 %s：%w",
	"element %s has attributes, which nothing signs: %w":   "元素 %s 带有属性，而属性不参与签名：%w",
	"the root of the XML is not %s: %w":                    "XML 的根元素不是 %s：%w",
	"the XML is %w near byte %d: %s":                       "XML %w，在第 %d 字节附近：%s",
	"root %s: %w":                                          "根元素 %s：%w",
	"field %s has no name that XML can have: %w":           "字段 %s 的名字不能作为 XML 元素名：%w",
	"field %s has a character that XML does not have: %w":  "字段 %s 里有 XML 不允许的字符：%w",
	"a value is not percent-encoded as the recipe says":    "有一个值没有按配方的规定做百分号编码",
	"the request has no %s":                                "请求中没有 %s",
	"%s is not the token that the key set holds":           "%s 不是密钥集中的令牌",
	"%s is not what the recipe sets":                       "%s 不是配方设置的值",
	"the message has no signed part that could be changed": "报文中没有可以更改的已签名部分",
	"the message names the serial of its key; put the certificate into sign.pem beside the key, or the serial into sign.serial": "报文要写明密钥的序列号；请把证书放进 sign.pem（与密钥一起），或把序列号写入 sign.serial",
}
