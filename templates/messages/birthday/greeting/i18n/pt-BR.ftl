# "cliente" é o valor usado quando não sabemos o nome.
subject = { $name ->
    [cliente] Feliz aniversário! Um presente para você
   *[other] Feliz aniversário, { $name }! Um presente para você
}
preheader = Seu cupom de aniversário está aqui, válido até { $date }.
headline = Feliz aniversário!
intro = Toda a equipe { $shop } deseja a você um dia maravilhoso, ao ar livre ou no aconchego de casa. E, para comemorar, preparamos um presente.
how = Use o código ao finalizar a compra e escolha algo de que você goste muito.
visit-shop = Escolher meu presente
sms = { $shop }: feliz aniversario! Seu presente: cupom { $code }, use até { $date }: { $url }
sms-percent = { $shop }: feliz aniversario! { $percent }% de desconto com o cupom { $code }, use até { $date }: { $url }
