-- KEYS[1] the ledger. Returns {run id of this server, its uptime in seconds, the ledger's run or nothing, its highest token, the
-- longest life of a lock}.
local info = redis.call('INFO', 'server')
local run, uptime = string.match(info, 'run_id:(%w+)'), string.match(info, 'uptime_in_seconds:(%d+)')
local ledger = redis.call('HMGET', KEYS[1], 'run', 'high', 'longest')
return {run, uptime, ledger[1], ledger[2], ledger[3]}
