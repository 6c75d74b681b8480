# "there" is the fallback for a customer without a name.
subject = { $name ->
    [there] Happy birthday! Here is a gift for you
   *[other] Happy birthday, { $name }! Here is a gift for you
}
preheader = Your birthday voucher is inside, valid until { $date }.
headline = Happy birthday!
intro = All of us at { $shop } wish you a wonderful day, whether you spend it outdoors or snug at home. Here is a little something from us.
how = Enter the code at checkout, and pick something you have been looking forward to.
visit-shop = Choose your gift
sms = { $shop }: happy birthday! Your gift is voucher { $code }, valid until { $date }: { $url }
sms-percent = { $shop }: happy birthday! { $percent }% off with voucher { $code }, valid until { $date }: { $url }
